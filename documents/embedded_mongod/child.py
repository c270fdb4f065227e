"""The script that becomes `mongod`: run by path, it makes the server end with its owner, then executes the server.

Arguments: how to watch the owner (`kernel` or `pipe`), the owner's process id, the command. Only the standard library
is used, and nothing of this package, since the script runs without site-packages.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 126
OWNER_GONE = 125


def request_parent_death_signal() -> None:
    """On Linux: let the kernel send SIGTERM when the thread that forked this process ends, however it ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def fork_pipe_watcher() -> None:
    """On other systems: fork a child that reads this process's standard input, whose other end only the owner holds."""
    server = os.getpid()
    if os.fork() == 0:
        os.read(0, 1)
        # A server that has ended is no longer the parent, so a reused process id is never signalled.
        if os.getppid() == server:
            os.kill(server, signal.SIGTERM)
        os._exit(0)


def main(watch: str, owner: int, command: list[str]) -> None:
    if watch == "kernel":
        request_parent_death_signal()
    else:
        fork_pipe_watcher()
    # The owner may have ended before the signal was requested: then none will ever come.
    if os.getppid() != owner:
        sys.exit(OWNER_GONE)
    try:
        os.execv(command[0], command)
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
