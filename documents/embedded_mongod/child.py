"""The script that becomes `mongod`: run by path, it ties the server's life to its owner's, then executes the server.

Arguments: how to watch (`kernel` or `pipe`), the owner's process id, the command. Only the standard library is used,
and nothing of this package, since the script runs with an empty site.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 126
OWNER_GONE = 125


def ask_the_kernel() -> None:
    """Linux: SIGTERM comes when the thread that forked us ends, however it ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def watch_the_pipe() -> None:
    """Elsewhere: a child of the server reads our standard input; only the owner holds the other end."""
    server = os.getpid()
    if os.fork() == 0:
        os.read(0, 1)
        # A server that has ended is no longer our parent, so a reused process id is never signalled.
        if os.getppid() == server:
            os.kill(server, signal.SIGTERM)
        os._exit(0)


def main(watch: str, owner: int, command: list[str]) -> None:
    if watch == "kernel":
        ask_the_kernel()
    else:
        watch_the_pipe()
    # The owner may have died before the kernel was asked: then no signal will ever come.
    if os.getppid() != owner:
        sys.exit(OWNER_GONE)
    try:
        os.execv(command[0], command)
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
