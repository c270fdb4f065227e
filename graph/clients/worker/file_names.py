"""Names of files that can coexist in one folder."""

import errno
import os

MAX_PART_BYTES, MAX_PATH_BYTES = 255, 3_072
"""Bytes that file systems accept as the name of one file or folder, and servers as a path."""
ABOUT_NAMES = frozenset({errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EILSEQ, errno.EINVAL})
"""Errors by which a file system refuses a name; other errors are about the machine."""


class InvalidFileName(Exception):
    """A name that no file can have, on any machine."""


class FileNames:
    """The names of the files of one folder, as paths below it."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._files: set[str] = set()
        self._folders: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Add a file. Raises InvalidFileName when its name is too long, or cannot coexist with the earlier ones."""
        parts = name.split("/")
        for part in parts:
            if (size := len(os.fsencode(part))) > MAX_PART_BYTES:
                raise InvalidFileName(
                    f"{self._subject} {name!r} cannot be a file: {part[:50]!r}… has {size} bytes, and the name of a "
                    f"file at most {MAX_PART_BYTES}. Give it a shorter name."
                )
        if (size := len(os.fsencode(name))) > MAX_PATH_BYTES:
            raise InvalidFileName(
                f"{self._subject} {name[:50]!r}… has {size:,} bytes, and a path at most {MAX_PATH_BYTES:,}. Shorten it."
            )
        if name in self._files:
            raise InvalidFileName(f"{self._subject} {name!r} occurs twice. Give one of the two another name.")
        parents = ["/".join(parts[:length]) for length in range(1, len(parts))]
        clash = self._folders.get(name) or next((folder for folder in parents if folder in self._files), None)
        if clash is not None:
            raise InvalidFileName(
                f"{self._subject} {min(name, clash)!r} cannot be a file beside {max(name, clash)!r}, whose folder "
                "would have the same name. Give one of the two another name."
            )
        self._files.add(name)
        for folder in parents:
            self._folders.setdefault(folder, name)
