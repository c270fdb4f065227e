"""The `.git` of a checkout, read as plain files: its origin, the checked-out commit, and the place of its objects.

Everything in it is untrusted. Links, `gitdir:` lines and alternates that lead out of the imported folder are not
followed: they could lead to another repository, which nobody wanted to publish.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resolvers.imports.folder import printable

MAX_LINE_FILE = 4_096
"""Bytes of a file that holds one line."""
MAX_CONFIG = 1_000_000
MAX_PACKED_REFS = 50_000_000
MAX_OBJECT_FILES = 1_000_000
MAX_OBJECT_DEPTH = 4
"""Depth of nested folders: git makes three today."""
MAX_SYMREFS = 5

OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
ORIGIN = re.compile(r'\[\s*remote\s+"origin"\s*\]', re.IGNORECASE)
ALTERNATES = ("info/alternates", "info/http-alternates")


class Unreadable(Exception):
    """The commits of a checkout cannot be read; the message says why."""


@dataclass(frozen=True)
class GitDirectory:
    """The checked-out commit of a checkout, its objects, and where a shallow clone ends."""

    head: str
    """The commit that is checked out."""
    objects: Path
    shallow: tuple[str, ...]
    """Commits whose parents were left out by a shallow clone."""


def origin(git: Path, folder: Path) -> str | None:
    """The address that a checkout was cloned from, if known. It may hold secrets."""
    try:
        with _refusals():
            config = _text(_common(_own(git, folder), folder) / "config", folder, MAX_CONFIG)
    except Unreadable:
        return None
    section = ""
    for line in map(str.strip, (config or "").splitlines()):
        section = line if line.startswith("[") else section
        key, _, value = line.partition("=")
        if key.strip().lower() == "url" and ORIGIN.fullmatch(section) and value.strip():
            return value.split()[0].strip('"')
    return None


def read_git_directory(git: Path, folder: Path) -> GitDirectory:
    """The content of `git`, the `.git` of a checkout below `folder`. Raises Unreadable."""
    with _refusals():
        own = _own(git, folder)
        common = _common(own, folder)
        objects = common / "objects"
        _check_objects(objects, folder)
        return GitDirectory(_head(own, common, folder), objects, tuple(_shallow(common, folder)))


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise Unreadable for errors of the file system."""
    try:
        yield
    except OSError as error:
        raise Unreadable(f"Its .git cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Unreadable("Its .git leads nowhere.") from error


def _own(git: Path, folder: Path) -> Path:
    """The directory itself; for a submodule or another working tree, the one that its file names."""
    if not git.is_symlink() and git.is_dir():
        return git
    line = (_text(git, folder) or "").strip()
    if not line.startswith("gitdir:"):
        raise Unreadable("Its .git is neither a directory nor a file that names one.")
    return _within(git.parent / line.removeprefix("gitdir:").strip(), folder)


def _common(own: Path, folder: Path) -> Path:
    """The directory that a working tree shares with others; most have only their own."""
    line = _text(own / "commondir", folder)
    return own if line is None else _within(own / line.strip(), folder)


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
    raise Unreadable("Its HEAD leads to no commit.")


def _ref(name: str, own: Path, common: Path, folder: Path) -> str | None:
    for place in (own, common):
        if (found := _text(place / name, folder)) is not None:
            return found
    lines = (_text(common / "packed-refs", folder, MAX_PACKED_REFS) or "").splitlines()
    return next((line.partition(" ")[0] for line in lines if line.partition(" ")[2] == name), None)


def _shallow(common: Path, folder: Path) -> Iterator[str]:
    for line in (_text(common / "shallow", folder, MAX_CONFIG) or "").split():
        if not OBJECT_ID.fullmatch(line):
            raise Unreadable("Its list of commits without parents (.git/shallow) is broken.")
        yield line


def _check_objects(objects: Path, folder: Path) -> None:
    """Raise Unreadable unless all objects lie below this directory, as regular files."""
    _within(objects, folder)
    if any((objects / name).exists() for name in ALTERNATES):
        raise Unreadable("Some of its objects are in another repository (objects/info/alternates).")
    count = 0
    waiting = [(objects, 1)]
    while waiting:
        place, depth = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                count += 1
                if _is_folder(entry, objects):
                    waiting.append((Path(entry.path), depth + 1))
        if count > MAX_OBJECT_FILES or depth > MAX_OBJECT_DEPTH:
            raise Unreadable(f"It has more than {MAX_OBJECT_FILES:,} object files, or deeper folders than git makes.")
    if not count:
        raise Unreadable("It has no objects.")


def _is_folder(entry: os.DirEntry[str], objects: Path) -> bool:
    """Whether an entry is a folder rather than a file. Raises Unreadable for links, pipes and the like."""
    if entry.is_dir(follow_symlinks=False):
        return True
    if entry.is_file(follow_symlinks=False):
        return False
    name = printable(os.path.relpath(entry.path, objects))
    raise Unreadable(f"objects/{name} in its .git is no regular file.")


def _within(path: Path, folder: Path) -> Path:
    """The path without links. Raises Unreadable where it leads out of the folder."""
    try:
        found = path.resolve()
    except RuntimeError as error:
        raise Unreadable("Its .git is a link to itself.") from error
    if not found.is_relative_to(folder):
        raise Unreadable("Its .git leads out of the folder.")
    return found


def _text(path: Path, folder: Path, most: int = MAX_LINE_FILE) -> str | None:
    """The text of a small file, None where it does not exist. Raises Unreadable for anything else."""
    found = _within(path, folder)
    try:
        # Opening a pipe would otherwise wait for a writer.
        descriptor = os.open(found, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(f"{path.name} in its .git is no regular file.")
        content = opened.read(most + 1)
    if len(content) > most:
        raise Unreadable(f"{path.name} in its .git is larger than {most:,} bytes.")
    return content.decode("utf-8", "replace")
