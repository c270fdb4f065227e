"""Reading the objects of a checkout with git's plumbing.

git runs programs that a repository's own settings name: for watching files, fetching missing objects, showing
differences, checking signatures, and more with each release. So it never sees these settings: it works in an empty
repository of our own, of which only the object directory is that of the checkout. It runs read-only commands, with an
environment of our own, a time limit and bounded memory.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import IO

from resolvers.imports.git_checkout.git_directory import GitDirectory, Unreadable

SECONDS = 120.0
"""Time limit of one command."""
MEMORY_BYTES = 2**30
MAX_OUTPUT = 1_000_000_000
"""Bytes of one command's output."""
MAX_RECORD = 1_000_000
CHUNK = 65_536

CONFIG = """[core]
	repositoryformatversion = {version}
	bare = true
	commitGraph = false
	multiPackIndex = false
	packedGitWindowSize = 32m
	packedGitLimit = 256m
[extensions]
{extensions}"""
"""git's accelerating files in the checkout are not used, since they are untrusted: they may contradict the objects."""

ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
}
KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class GitObjects:
    """The objects of one checkout, within the block. Raises Unreadable where git is missing."""

    def __init__(self, directory: GitDirectory, *, seconds: float = SECONDS) -> None:
        git = shutil.which("git")
        if git is None:
            raise Unreadable("git is not installed here.")
        self._git = git
        self._directory = directory
        self._seconds = seconds

    def __enter__(self) -> "GitObjects":
        self._made = tempfile.TemporaryDirectory(prefix="provenance-git-")
        self._own = Path(self._made.name)
        for name in ("objects", "refs"):
            (self._own / name).mkdir()
        (self._own / "HEAD").write_text("ref: refs/heads/none\n")
        (self._own / "config").write_text(_config(self._directory.head))
        if self._directory.shallow:
            (self._own / "shallow").write_text("".join(f"{commit}\n" for commit in self._directory.shallow))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._made.cleanup()

    def records(self, *arguments: str, end: bytes = b"\0", given: Iterable[str] = ()) -> Iterator[bytes]:
        """The output of a command, split into records; `given` are its input lines. Raises Unreadable."""
        with self._running(arguments, given) as output:
            left, size = b"", 0
            while chunk := output.read(CHUNK):
                size += len(chunk)
                *records, left = (left + chunk).split(end)
                if size > MAX_OUTPUT or len(left) > MAX_RECORD:
                    raise Unreadable(f"The output of git about its history exceeds {MAX_OUTPUT:,} bytes.")
                yield from records

    def sizes(self, blobs: Sequence[str]) -> dict[str, int]:
        """The sizes of the blobs that exist. Raises Unreadable."""
        answers = self.records("cat-file", "--batch-check", end=b"\n", given=blobs)
        found = (answer.decode().split(" ") for answer in answers)
        return {one[0]: int(one[2]) for one in found if len(one) == 3 and one[1] == "blob"}

    def contents(self, blobs: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The blobs that exist, each with its bytes. Raises Unreadable."""
        with self._running(("cat-file", "--batch"), blobs) as output:
            for blob in blobs:
                head = output.readline(MAX_RECORD).split()
                if len(head) != 3 or head[0].decode() != blob:
                    raise Unreadable("git does not print the content of its objects.")
                content = output.read(int(head[2]))
                output.read(1)
                yield blob, content

    @contextmanager
    def _running(self, arguments: Sequence[str], given: Iterable[str]) -> Iterator[IO[bytes]]:
        with tempfile.TemporaryFile() as lines:
            lines.writelines(f"{line}\n".encode() for line in given)
            lines.seek(0)
            process = self._start(arguments, lines)
            assert process.stdout is not None
            timer = Timer(self._seconds, process.kill)
            timer.start()
            try:
                with process.stdout:
                    yield process.stdout
                status = process.wait()
            finally:
                timer.cancel()
                process.kill()
                process.wait()
        if status:
            raise Unreadable(f"git cannot read its objects: {arguments[0]} ended with {status}.")

    def _start(self, arguments: Sequence[str], given: IO[bytes]) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                [self._git, *arguments],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._own,
                env=self._environment(),
                preexec_fn=_confined(int(self._seconds) + 1),
            )
        except OSError as error:
            raise Unreadable(f"git cannot be run: {error.strerror}.") from error

    def _environment(self) -> dict[str, str]:
        own = str(self._own)
        places = {"HOME": own, "GIT_DIR": own, "GIT_OBJECT_DIRECTORY": str(self._directory.objects)}
        return ENVIRONMENT | places | {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}


def _config(head: str) -> str:
    if len(head) == 40:
        return CONFIG.format(version=0, extensions="")
    return CONFIG.format(version=1, extensions="\tobjectFormat = sha256\n")


def _confined(seconds: int) -> Callable[[], None]:
    """A function that restricts a new process to what reading needs. Limits that a system lacks are skipped."""

    import resource

    # Between fork and exec nothing may wait for another thread, as an import may.
    def confine() -> None:
        bounds = {"RLIMIT_CPU": seconds, "RLIMIT_AS": MEMORY_BYTES, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
        for name, bound in bounds.items():
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (bound, bound))

    return confine
