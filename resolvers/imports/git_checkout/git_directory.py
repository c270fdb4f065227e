"""The `.git` of a checkout, read as plain files: its origin, its checked-out commit, and the path of its objects.

Its content is untrusted. Links, `gitdir:` lines and alternates that lead out of the imported folder are not followed:
they could lead to another repository, which nobody wanted to publish.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resolvers.imports.folder import printable

MAX_LINE_FILE_BYTES = 4_096
"""Bytes of a file that holds one line."""
MAX_CONFIG_BYTES = 1_000_000
MAX_PACKED_REFS_BYTES = 50_000_000
MAX_OBJECT_FILES = 1_000_000
MAX_OBJECT_DEPTH = 4
"""Levels of folders: git creates three today."""
MAX_SYMREFS = 5

OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
ORIGIN = re.compile(r'\[\s*remote\s+"origin"\s*\]', re.IGNORECASE)
ALTERNATES = ("info/alternates", "info/http-alternates")


class GitReadError(Exception):
    """The commits of a checkout cannot be read; the message says why."""


@dataclass(frozen=True)
class GitDirectory:
    """The checked-out commit, the path of the objects, and the commits at which a shallow clone ends."""

    head: str
    """The id of the checked-out commit."""
    objects: Path
    shallow: tuple[str, ...]
    """Commits whose parents were left out by a shallow clone."""


def origin(git: Path, folder: Path) -> str | None:
    """The address that a checkout was cloned from, if known. It may hold secrets."""
    try:
        with _translate_errors():
            config = _text(_common_dir(_git_dir(git, folder), folder) / "config", folder, MAX_CONFIG_BYTES)
    except GitReadError:
        return None
    section = ""
    for line in map(str.strip, (config or "").splitlines()):
        section = line if line.startswith("[") else section
        key, _, value = line.partition("=")
        if key.strip().lower() == "url" and ORIGIN.fullmatch(section) and value.strip():
            return value.split()[0].strip('"')
    return None


def read_git_directory(git: Path, folder: Path) -> GitDirectory:
    """The content of `git`, the `.git` of a checkout below `folder`. Raises GitReadError."""
    with _translate_errors():
        own = _git_dir(git, folder)
        common = _common_dir(own, folder)
        objects = common / "objects"
        _check_objects(objects, folder)
        return GitDirectory(_head(own, common, folder), objects, tuple(_shallow_commits(common, folder)))


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise GitReadError for errors of the file system."""
    try:
        yield
    except OSError as error:
        raise GitReadError(f"Its .git cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise GitReadError("Its .git leads nowhere.") from error


def _git_dir(git: Path, folder: Path) -> Path:
    """The git directory: `git` itself; for a submodule or a linked working tree, the directory that this file names."""
    if not git.is_symlink() and git.is_dir():
        return git
    line = (_text(git, folder) or "").strip()
    if not line.startswith("gitdir:"):
        raise GitReadError("Its .git is neither a directory nor a file that names one.")
    return _resolve_within(git.parent / line.removeprefix("gitdir:").strip(), folder)


def _common_dir(own: Path, folder: Path) -> Path:
    """The directory that linked working trees share; most checkouts have only their own."""
    line = _text(own / "commondir", folder)
    return own if line is None else _resolve_within(own / line.strip(), folder)


def _head(own: Path, common: Path, folder: Path) -> str:
    name = _text(own / "HEAD", folder)
    for _ in range(MAX_SYMREFS):
        if name is None:
            break
        name = name.strip()
        if OBJECT_ID.fullmatch(name):
            return name
        if not name.startswith("ref: refs/"):
            break
        name = _ref(name.removeprefix("ref: "), own, common, folder)
    raise GitReadError("Its HEAD leads to no commit.")


def _ref(name: str, own: Path, common: Path, folder: Path) -> str | None:
    for directory in (own, common):
        if (target := _text(directory / name, folder)) is not None:
            return target
    lines = (_text(common / "packed-refs", folder, MAX_PACKED_REFS_BYTES) or "").splitlines()
    return next((line.partition(" ")[0] for line in lines if line.partition(" ")[2] == name), None)


def _shallow_commits(common: Path, folder: Path) -> Iterator[str]:
    for line in (_text(common / "shallow", folder, MAX_CONFIG_BYTES) or "").split():
        if not OBJECT_ID.fullmatch(line):
            raise GitReadError("Its list of commits without parents (.git/shallow) is broken.")
        yield line


def _check_objects(objects: Path, folder: Path) -> None:
    """Raise GitReadError unless all objects are regular files below this directory."""
    _resolve_within(objects, folder)
    if any((objects / name).exists() for name in ALTERNATES):
        raise GitReadError("Some of its objects are in another repository (objects/info/alternates).")
    count = 0
    pending = [(objects, 1)]
    while pending:
        directory, depth = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                count += 1
                if _is_folder(entry, objects):
                    pending.append((Path(entry.path), depth + 1))
        if count > MAX_OBJECT_FILES or depth > MAX_OBJECT_DEPTH:
            raise GitReadError(f"It has more than {MAX_OBJECT_FILES:,} object files, or deeper folders than git makes.")
    if not count:
        raise GitReadError("It has no objects.")


def _is_folder(entry: os.DirEntry[str], objects: Path) -> bool:
    """Whether an entry is a folder rather than a file. Raises GitReadError for links, pipes and the like."""
    if entry.is_dir(follow_symlinks=False):
        return True
    if entry.is_file(follow_symlinks=False):
        return False
    name = printable(os.path.relpath(entry.path, objects))
    raise GitReadError(f"objects/{name} in its .git is not a regular file.")


def _resolve_within(path: Path, folder: Path) -> Path:
    """The path with its links resolved. Raises GitReadError if it leads out of the folder."""
    try:
        resolved = path.resolve()
    except RuntimeError as error:
        raise GitReadError("Its .git is a link to itself.") from error
    if not resolved.is_relative_to(folder):
        raise GitReadError("Its .git leads out of the folder.")
    return resolved


def _text(path: Path, folder: Path, max_bytes: int = MAX_LINE_FILE_BYTES) -> str | None:
    """The text of a small file; None if it does not exist. Raises GitReadError for anything else."""
    resolved = _resolve_within(path, folder)
    try:
        # Opening a pipe would otherwise wait for a writer.
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise GitReadError(f"{path.name} in its .git is not a regular file.")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise GitReadError(f"{path.name} in its .git is larger than {max_bytes:,} bytes.")
    return content.decode("utf-8", "replace")
