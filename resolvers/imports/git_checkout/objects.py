"""Reading the objects of a checkout with git's plumbing commands.

git runs programs that the settings of a repository name: to watch files, fetch missing objects, show differences, check
signatures, and more with each release. So it never sees these settings: it works in an empty repository of our own, of
which only the object directory is that of the checkout. It runs read-only commands, in an environment of our own, with
a time limit and bounded memory.
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

from resolvers.imports.git_checkout.git_directory import GitDirectory, GitReadError

COMMAND_TIMEOUT = 120.0
"""Seconds that one command may take."""
MAX_MEMORY_BYTES = 2**30
MAX_OUTPUT_BYTES = 1_000_000_000
"""Bytes of one command's output."""
MAX_RECORD_BYTES = 1_000_000
CHUNK_BYTES = 65_536

CONFIG = """[core]
	repositoryformatversion = {version}
	bare = true
	commitGraph = false
	multiPackIndex = false
	packedGitWindowSize = 32m
	packedGitLimit = 256m
[extensions]
{extensions}"""
"""The commit graph and the multi-pack index of a checkout are not used: they may contradict its objects."""

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
INHERITED_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class GitObjects:
    """The objects of one checkout, readable within a `with` block. Raises GitReadError if git is not installed."""

    def __init__(self, directory: GitDirectory, *, timeout: float = COMMAND_TIMEOUT) -> None:
        git = shutil.which("git")
        if git is None:
            raise GitReadError("git is not installed here.")
        self._git = git
        self._directory = directory
        self._timeout = timeout

    def __enter__(self) -> "GitObjects":
        self._temporary = tempfile.TemporaryDirectory(prefix="provenance-git-")
        self._repository = Path(self._temporary.name)
        for name in ("objects", "refs"):
            (self._repository / name).mkdir()
        (self._repository / "HEAD").write_text("ref: refs/heads/none\n")
        (self._repository / "config").write_text(_config(self._directory.head))
        if self._directory.shallow:
            (self._repository / "shallow").write_text("".join(f"{commit}\n" for commit in self._directory.shallow))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._temporary.cleanup()

    def records(self, *arguments: str, end: bytes = b"\0", input_lines: Iterable[str] = ()) -> Iterator[bytes]:
        """The output of a command, split into records. Raises GitReadError."""
        with self._run(arguments, input_lines) as output:
            rest, size = b"", 0
            while chunk := output.read(CHUNK_BYTES):
                size += len(chunk)
                *records, rest = (rest + chunk).split(end)
                if size > MAX_OUTPUT_BYTES or len(rest) > MAX_RECORD_BYTES:
                    raise GitReadError(f"The output of git about its history exceeds {MAX_OUTPUT_BYTES:,} bytes.")
                yield from records

    def sizes(self, blobs: Sequence[str]) -> dict[str, int]:
        """The sizes of the blobs that exist. Raises GitReadError."""
        answers = self.records("cat-file", "--batch-check", end=b"\n", input_lines=blobs)
        fields = (answer.decode().split(" ") for answer in answers)
        return {parts[0]: int(parts[2]) for parts in fields if len(parts) == 3 and parts[1] == "blob"}

    def contents(self, blobs: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The blobs that exist, each with its bytes. Raises GitReadError."""
        with self._run(("cat-file", "--batch"), blobs) as output:
            for blob in blobs:
                head = output.readline(MAX_RECORD_BYTES).split()
                if len(head) != 3 or head[0].decode() != blob:
                    raise GitReadError("git does not print the content of its objects.")
                content = output.read(int(head[2]))
                output.read(1)
                yield blob, content

    @contextmanager
    def _run(self, arguments: Sequence[str], input_lines: Iterable[str]) -> Iterator[IO[bytes]]:
        with tempfile.TemporaryFile() as lines:
            lines.writelines(f"{line}\n".encode() for line in input_lines)
            lines.seek(0)
            process = self._start(arguments, lines)
            assert process.stdout is not None
            timer = Timer(self._timeout, process.kill)
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
            raise GitReadError(f"git cannot read its objects: {arguments[0]} ended with {status}.")

    def _start(self, arguments: Sequence[str], input_lines: IO[bytes]) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                [self._git, *arguments],
                stdin=input_lines,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._repository,
                env=self._environment(),
                preexec_fn=_resource_limiter(int(self._timeout) + 1),
            )
        except OSError as error:
            raise GitReadError(f"git cannot be run: {error.strerror}.") from error

    def _environment(self) -> dict[str, str]:
        own = str(self._repository)
        places = {"HOME": own, "GIT_DIR": own, "GIT_OBJECT_DIRECTORY": str(self._directory.objects)}
        return ENVIRONMENT | places | {name: os.environ[name] for name in INHERITED_ENVIRONMENT if name in os.environ}


def _config(head: str) -> str:
    if len(head) == 40:
        return CONFIG.format(version=0, extensions="")
    return CONFIG.format(version=1, extensions="\tobjectFormat = sha256\n")


def _resource_limiter(cpu_seconds: int) -> Callable[[], None]:
    """A function that limits the resources of a new process. Limits that the system does not have are skipped."""

    import resource

    # Imported before the fork: between fork and exec, an import could wait for the lock of another thread forever.
    def apply_limits() -> None:
        bounds = {"RLIMIT_CPU": cpu_seconds, "RLIMIT_AS": MAX_MEMORY_BYTES, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
        for name, bound in bounds.items():
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (bound, bound))

    return apply_limits
