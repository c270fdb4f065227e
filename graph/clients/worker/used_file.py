"""The file in which a command notes what it reads: a line for each URL, id or path."""

import os
import re
from dataclasses import dataclass, field
from typing import BinaryIO, Self

MAX_USED_LINES, MAX_USED_BYTES = 1_000, 65_536
"""Lines and bytes that are read."""
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
ID = re.compile(r"[a-z]+_(?:[0-9a-f]{24}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=[ \t]|$)")
"""Ids of this server's. A file with such a name is written with `./` before it."""
DETAIL = re.compile(r"[ \t]+(version|sha256|type|file)=")
MAX_SHOWN = 200
"""Characters of a line that are shown."""


@dataclass(frozen=True)
class UsedLine:
    """A line: its number from 1, what it names, and the details of that by their names."""

    number: int
    target: str
    details: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, number: int, text: str) -> Self:
        """The line that says this. A path may hold any character, so a line that begins with one has no details."""
        stripped = text.strip()
        if not (URL.match(stripped) or ID.match(stripped)):
            return cls(number, text)
        target, *details = DETAIL.split(stripped)
        return cls(number, target, dict(zip(details[::2], details[1::2], strict=True)))

    @property
    def is_url(self) -> bool:
        """Whether the line names a URL."""
        return URL.match(self.target) is not None

    @property
    def is_id(self) -> bool:
        """Whether the line names something by its id."""
        return ID.fullmatch(self.target) is not None

    @property
    def shown(self) -> str:
        """The target for a log, without what may be a secret in a URL."""
        if not self.is_url:
            return self.target[:MAX_SHOWN]
        return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", self.target, maxsplit=1)[0])[:MAX_SHOWN]


def read_lines(file: BinaryIO) -> tuple[list[UsedLine], bool, bool]:
    """The lines of the file that are not blank, whether there are more than are read, and whether all are blank."""
    content = file.read(MAX_USED_BYTES + 1)
    is_cut = len(content) > MAX_USED_BYTES
    lines = content[:MAX_USED_BYTES].split(b"\n")
    if is_cut:
        # The last one may be half a line.
        lines.pop()
    texts = [(number, os.fsdecode(line.removesuffix(b"\r"))) for number, line in enumerate(lines, 1)]
    used = [UsedLine.of(number, text) for number, text in texts if text.strip()]
    return used[:MAX_USED_LINES], is_cut or len(used) > MAX_USED_LINES, bool(content) and not used and not is_cut
