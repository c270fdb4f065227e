"""The entries of a tar stream: names, types and sizes, nothing else.

Python's tarfile takes seconds for a PAX header of 50 kB in 3.11 and 3.12 (CVE-2024-6232), and interprets links, owners
and sparse maps, which a report does not need. The formats are POSIX.1-2001 (ustar, pax) and GNU's long names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from resolvers.galaxy.report.archive.gzip_reader import GzipReader
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import corrupt_archive

RECORD_BYTES = 512
SKIP_BYTES = 256 * 1024
LONG_NAME = b"L"
PAX = (b"x", b"X")
EXTENSIONS = (*PAX, b"g", LONG_NAME, b"K")
TYPES = {b"0": "file", b"\0": "file", b"7": "file", b"5": "directory", b"1": "hard link", b"2": "symbolic link"}
PAX_LENGTH = re.compile(rb"([0-9]{1,6}) ")
OCTAL = re.compile(rb"[ \0]*([0-7]{0,12})[ \0]*")


@dataclass(frozen=True)
class Entry:
    """One entry of the archive: type is file, directory, hard link, symbolic link or special."""

    name: str
    type: str
    size: int


@dataclass
class _Extension:
    """Values of extension headers for the entry after them."""

    name: bytes | None = None
    size: int | None = None
    sparse: bool = False


def entries(stream: GzipReader, limits: Limits) -> Iterator[Entry]:
    """Each entry, while the stream is at its first byte; the part of it that is not read is skipped."""
    extension = _Extension()
    for count, header in enumerate(_headers(stream)):
        if count >= limits.entries:
            raise corrupt_archive(f"The archive has more than {limits.entries} entries.")
        flag, size = header[156:157], _parse_number(header[124:136])
        end = stream.position
        if flag in EXTENSIONS:
            _apply_extension(extension, flag, _read_extension(stream, size, limits))
        else:
            entry = _entry(header, flag, size, extension)
            size = entry.size
            extension = _Extension()
            yield entry
        _skip(stream, end + -(-size // RECORD_BYTES) * RECORD_BYTES - stream.position)
    _drain(stream)


def _headers(stream: GzipReader) -> Iterator[bytes]:
    """Header after header, up to the zeros at the end. Resume the generator when the stream is at the next header."""
    while header := stream.read(RECORD_BYTES):
        if len(header) < RECORD_BYTES:
            raise corrupt_archive("The archive is truncated: it ends within a tar header.")
        if not header.strip(b"\0"):
            return
        stated = _parse_number(header[148:156])
        if stated != sum(header) - sum(header[148:156]) + 8 * 32:
            raise corrupt_archive("The archive contains no valid tar file: the checksum of a header is wrong.")
        yield header


def _parse_number(field: bytes) -> int:
    """A number in octal digits, or in GNU's base 256 for larger ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = OCTAL.fullmatch(field)
    if digits is None:
        raise corrupt_archive("The archive contains no valid tar file: a number in a header is not octal.")
    return int(digits[1] or b"0", 8)


def _entry(header: bytes, flag: bytes, size: int, extension: _Extension) -> Entry:
    name = header[:100].split(b"\0", 1)[0]
    # GNU's own magic is "ustar  " and has other fields in place of POSIX's prefix.
    if header[257:263] == b"ustar\0" and header[345] and extension.name is None:
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    name = name if extension.name is None else extension.name
    type = "special" if extension.sparse else TYPES.get(flag, "special")
    if type == "file" and flag == b"\0" and name.endswith(b"/"):
        type = "directory"
    # Links and directories have no data, whatever their size says.
    has_data = type in ("file", "special")
    size = (size if extension.size is None else extension.size) if has_data else 0
    return Entry(name.decode("utf-8", "backslashreplace"), type, size)


def _read_extension(stream: GzipReader, size: int, limits: Limits) -> bytes:
    if size > limits.extension_bytes:
        raise corrupt_archive(
            f"The archive has an extension header of {size} bytes; {limits.extension_bytes} are allowed."
        )
    content = stream.read(size)
    if len(content) < size:
        raise corrupt_archive("The archive is truncated: it ends within an extension header.")
    return content


def _apply_extension(extension: _Extension, flag: bytes, content: bytes) -> None:
    """Set the relevant values of an extension header: the name, the size, and whether the data are sparse."""
    if flag == LONG_NAME:
        extension.name = content.split(b"\0", 1)[0]
    elif flag in PAX:
        for key, value in _pax_records(content):
            if key == b"path":
                extension.name = value
            elif key == b"size":
                extension.size = _pax_size(value)
            elif key.startswith(b"GNU.sparse."):
                extension.sparse = True


def _pax_records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a PAX header, `<length> <key>=<value>\\n` each, where the length counts itself."""
    at = 0
    while at < len(content):
        length = PAX_LENGTH.match(content, at)
        end = at + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise corrupt_archive("The archive has a PAX header that is not made of records.")
        key, _, value = content[length.end() : end - 1].partition(b"=")
        yield key, value
        at = end


def _pax_size(value: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,15}", value):
        raise corrupt_archive("The archive has a PAX header whose size is not a number.")
    return int(value)


def _skip(stream: GzipReader, size: int) -> None:
    while size > 0:
        skipped = len(stream.read(min(size, SKIP_BYTES)))
        if not skipped:
            raise corrupt_archive("The archive is truncated: it ends within a member.")
        size -= skipped


def _drain(stream: GzipReader) -> None:
    """Read to the end, because the checksum of the gzip file comes last."""
    while stream.read(SKIP_BYTES):
        pass
