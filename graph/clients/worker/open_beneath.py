"""Opening a file that a command names, but only a regular one in the command's own folders, wherever links lead."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

FOLDERS = ("inputs", "outputs", "work")
"""The folders of a workspace that belong to its command."""
MAX_LINKS, MAX_PARTS = 10, 200
"""Symbolic links that a path may lead through, and folders that it may be deep."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO that takes the place of a file is opened without a wait for its writer, and refused then.
REGULAR_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC

Names = tuple[str, ...]
"""The names of folders and of a file, from the workspace's folder down."""


class FileRefused(Exception):
    """The file is not read, and why: a clause that follows its name."""


def names_beneath(folder: Path, path: str, base: Names = ("work",)) -> Names:
    """The names that lead to a path, relative to `base` or absolute, from the folder down. `..` is resolved by names.

    Raises FileRefused when the path is not in one of FOLDERS.
    """
    if "\0" in path:
        raise FileRefused("holds a zero byte")
    place = Path(os.path.normpath(folder.joinpath(*base, path)))
    # The shell's `pwd -P` writes the folder without links above it.
    root = next((root for root in (folder, Path(os.path.realpath(folder))) if place.is_relative_to(root)), None)
    names = place.relative_to(root).parts if root else ()
    if len(names) < 2 or names[0] not in FOLDERS:
        raise FileRefused("is not a file in the command's folders")
    if len(names) > MAX_PARTS:
        raise FileRefused(f"is more than {MAX_PARTS} folders deep")
    return names


def open_beneath(folder: Path, names: Names) -> tuple[BinaryIO, Names]:
    """The regular file at these names, open for reading, and its names once links are resolved.

    Links are resolved here, one after the other, and never by the system, so that none leads out, not even one that
    takes the place of a folder meanwhile. Raises FileRefused.
    """
    try:
        for _ in range(MAX_LINKS + 1):
            found = _open_or_follow(folder, names)
            if not isinstance(found, tuple):
                return found, names
            names = found
    except OSError as error:
        raise FileRefused(f"cannot be read: {error.strerror}") from error
    raise FileRefused(f"leads through more than {MAX_LINKS} links")


def _open_or_follow(folder: Path, names: Names) -> BinaryIO | Names:
    """The open file; or where one of the names is a link, the names to which it leads."""
    directory = os.open(folder, DIRECTORY)
    try:
        for depth, name in enumerate(names[:-1]):
            if stat.S_ISLNK(_mode(name, directory)):
                return _target(folder, names, depth, directory)
            inner = os.open(name, DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        mode = _mode(names[-1], directory)
        if stat.S_ISLNK(mode):
            return _target(folder, names, len(names) - 1, directory)
        if not stat.S_ISREG(mode):
            raise FileRefused("is not a regular file")
        return _open_regular(names[-1], directory)
    finally:
        os.close(directory)


def _mode(name: str, directory: int) -> int:
    return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode


def _target(folder: Path, names: Names, depth: int, directory: int) -> Names:
    """The names where the link at this depth leads, with those behind it."""
    path = os.path.join(os.readlink(names[depth], dir_fd=directory), *names[depth + 1 :])  # noqa: PTH118
    return names_beneath(folder, path, names[:depth])


def _open_regular(name: str, directory: int) -> BinaryIO:
    descriptor = os.open(name, REGULAR_FILE, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileRefused("is not a regular file")
    return os.fdopen(descriptor, "rb")
