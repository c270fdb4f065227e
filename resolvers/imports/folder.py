"""Walking a folder for JSON files, with the reasons why some are not opened."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

DOCUMENTS, INFOS, FOLDERS, LISTS = "CSV-W documents", "info.json files", "folders", "lists of commits"

TOP = "."
"""The name of the imported folder itself in reports."""
REPOSITORY = ".git"
NOT_REGULAR = "It is not a regular file."


class Reason(NamedTuple):
    """The reason why a file or folder was adjusted or refused; `kind` is the one that its name suggests."""

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

    Refused are links unless their targets are walked anyway, files that are not regular, such as pipes, and folders
    that cannot be read. Raises OSError if the folder itself cannot be read.
    """
    walk_result = Walk(folder.resolve(strict=True))
    os.scandir(walk_result.folder).close()
    pending = [""]
    while pending:
        pending += _subfolders(walk_result, pending.pop())
    walk_result.files.sort()
    return walk_result


def kind_of(file: str) -> str:
    """The kind of file that a path's name suggests."""
    if not _is_json(file):
        return FOLDERS
    name = file.rpartition("/")[2].lower()
    return INFOS if name == "info.json" or name.endswith("-info.json") else DOCUMENTS


def read_regular(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a regular file. Raises OSError, also for pipes and links, without blocking."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return file.read(limit)


def printable(file: str) -> str:
    """A path with a question mark for each undecodable byte."""
    return file.encode("utf-8", "replace").decode()


def _subfolders(walk_result: Walk, folder: str) -> Iterator[str]:
    """Record the files of a folder; yields its subfolders."""
    try:
        entries = list(os.scandir(walk_result.folder / folder))
    except OSError as error:
        walk_result.refuse(FOLDERS, folder, f"It cannot be read: {error.strerror}.")
        return
    for entry in entries:
        file = f"{folder}/{entry.name}".lstrip("/")
        try:
            if _record_entry(walk_result, folder, file, entry):
                yield file
        except OSError as error:
            walk_result.refuse(kind_of(file), file, f"It cannot be read: {error.strerror}.")


def _record_entry(walk_result: Walk, folder: str, file: str, entry: os.DirEntry[str]) -> bool:
    """Record an entry by its kind; returns whether it is a folder to walk."""
    if entry.name == REPOSITORY:
        walk_result.checkouts.append(folder)
    elif entry.is_symlink():
        _record_link(walk_result, file)
    elif entry.is_dir(follow_symlinks=False):
        return True
    elif _is_json(file):
        _record_file(walk_result, file, regular=entry.is_file(follow_symlinks=False))
    return False


def _record_file(walk_result: Walk, file: str, *, regular: bool) -> None:
    if printable(file) != file:
        walk_result.refuse(kind_of(file), file, "Its path is not UTF-8.")
    elif regular:
        walk_result.files.append(file)
    else:
        walk_result.refuse(kind_of(file), file, NOT_REGULAR)


def _record_link(walk_result: Walk, file: str) -> None:
    """Refuse a link that may lead to a JSON file or a folder. Links with other file extensions are ignored."""
    path = walk_result.folder / file
    may_be_folder = path.is_dir() or not (path.exists() or path.suffix)
    if (_is_json(file) or may_be_folder) and (reason := _link_problem(walk_result.folder, path)):
        walk_result.refuse(kind_of(file), file, reason)


def _link_problem(folder: Path, link: Path) -> str | None:
    """The reason to refuse a link; None if its target is walked anyway."""
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
