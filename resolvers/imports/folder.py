"""Walking a folder: the JSON files in it, and the reasons why some are not opened."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

DOCUMENTS, INFOS, FOLDERS, LISTS = "CSV-W documents", "info.json files", "folders", "lists of commits"

TOP = "."
"""The name of the imported folder itself in the report."""
REPOSITORY = ".git"
NOT_REGULAR = "It is no regular file."


class Reason(NamedTuple):
    """The reason why a file or folder was refused; `kind` is its apparent kind."""

    kind: str
    file: str
    reason: str


@dataclass
class Walk:
    """The outcome of a walk. Paths are relative to the folder, with slashes; that of the folder itself is empty."""

    folder: Path
    files: list[str] = field(default_factory=list)
    checkouts: list[str] = field(default_factory=list)
    """Folders that hold a `.git`."""
    refused: list[Reason] = field(default_factory=list)

    def refuse(self, kind: str, file: str, reason: str) -> None:
        """Record a refusal and its reason, under a printable name."""
        self.refused.append(Reason(kind, printable(file) or TOP, reason))


def walk(folder: Path) -> Walk:
    """All regular JSON files below a folder, in the order of their paths. Links are not followed.

    A link is refused unless its target is walked anyway. So are files that are not regular, such as pipes, and folders
    that cannot be read. Raises OSError when the folder itself cannot be read.
    """
    met = Walk(folder.resolve(strict=True))
    os.scandir(met.folder).close()
    waiting = [""]
    while waiting:
        waiting += _folders_in(met, waiting.pop())
    met.files.sort()
    return met


def kind_of(file: str) -> str:
    """The kind of file that a path's name suggests."""
    if not _is_json(file):
        return FOLDERS
    name = file.rpartition("/")[2].lower()
    return INFOS if name == "info.json" or name.endswith("-info.json") else DOCUMENTS


def read_regular(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a regular file. Raises OSError, also for pipes and links, without blocking."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(limit)


def printable(file: str) -> str:
    """A path with a question mark for each undecodable byte."""
    return file.encode("utf-8", "replace").decode()


def _folders_in(met: Walk, folder: str) -> Iterator[str]:
    """The folders in a folder; notes its files."""
    try:
        entries = list(os.scandir(met.folder / folder))
    except OSError as error:
        met.refuse(FOLDERS, folder, f"It cannot be read: {error.strerror}.")
        return
    for entry in entries:
        file = f"{folder}/{entry.name}".lstrip("/")
        try:
            if _note(met, folder, file, entry):
                yield file
        except OSError as error:
            met.refuse(kind_of(file), file, f"It cannot be read: {error.strerror}.")


def _note(met: Walk, folder: str, file: str, entry: os.DirEntry[str]) -> bool:
    """Note an entry by its kind; returns whether it is a folder to walk."""
    if entry.name == REPOSITORY:
        met.checkouts.append(folder)
    elif entry.is_symlink():
        _note_link(met, file)
    elif entry.is_dir(follow_symlinks=False):
        return True
    elif _is_json(file):
        _note_file(met, file, regular=entry.is_file(follow_symlinks=False))
    return False


def _note_file(met: Walk, file: str, *, regular: bool) -> None:
    if printable(file) != file:
        met.refuse(kind_of(file), file, "Its path is not UTF-8.")
    elif regular:
        met.files.append(file)
    else:
        met.refuse(kind_of(file), file, NOT_REGULAR)


def _note_link(met: Walk, file: str) -> None:
    """Refuse a link that may hide a useful file. Links with other file extensions are ignored."""
    path = met.folder / file
    may_be_folder = path.is_dir() or not (path.exists() or path.suffix)
    if (_is_json(file) or may_be_folder) and (reason := _why_not_followed(met.folder, path)):
        met.refuse(kind_of(file), file, reason)


def _why_not_followed(folder: Path, link: Path) -> str | None:
    """The reason why a link is not followed; None when its target is walked anyway."""
    try:
        target = Path(os.path.realpath(link, strict=True))
    except OSError as error:
        return f"It is a link that leads nowhere: {error.strerror}."
    if not target.is_relative_to(folder):
        return "It is a link that leads out of the folder."
    inside = target.relative_to(folder)
    if REPOSITORY in inside.parts or not (target.is_dir() or _is_json(target.name)):
        return f"It is a link to {printable(inside.as_posix())}, which is not read."
    return None


def _is_json(file: str) -> bool:
    return file.lower().endswith(".json")
