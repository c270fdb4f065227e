"""Validators of single values. Each returns the value as it will be stored, or raises InvalidInput with its path."""

import json
import re
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

from documents.storage.file_url import MAX_OBJECT_NAME_BYTES, file_url, names_object, object_name
from documents.storage.url_secrets import without_secrets
from resolvers.formats.json_text import utf8
from resolvers.limits import MAX_FILE_NAME_BYTES, MAX_FILE_PATH_BYTES
from resolvers.user_errors import InvalidInput

T = TypeVar("T")

MAX_LINE_LENGTH = 1_000
MAX_TEXT_LENGTH = 100_000
MAX_URL_LENGTH = 2_000
MAX_TAGS = 100
# White space of all kinds but the blank, and control characters.
FORBIDDEN_CHARACTER = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f]")
# Git abbreviates to no fewer than four digits; SHA-256 repositories have 64.
COMMIT = re.compile(r"[0-9a-f]{4,64}", re.ASCII)


def check_not_null(value: T | None, name: str) -> T:
    """The new value of a field that must have one. Raises InvalidInput for null."""
    if value is None:
        raise InvalidInput(f"{name} cannot be null: leave it out to keep it as it is.", name)
    return value


@overload
def check_line(value: str, *path: str) -> str: ...
@overload
def check_line(value: str | None, *path: str) -> str | None: ...
def check_line(value: str | None, *path: str) -> str | None:
    """A name or title: one line that is not blank, without surrounding blanks."""
    if value is None:
        return None
    line = value.strip()
    if not is_line(line):
        shown = value if len(value) < 100 else f"{value[:100]}…"
        raise InvalidInput(f"{path[-1]} must be one line of 1 to {MAX_LINE_LENGTH} characters, not {shown!r}.", *path)
    return line


def is_line(text: str) -> bool:
    """Whether a text is one line that is not empty and not too long to be kept."""
    return 0 < len(text) <= MAX_LINE_LENGTH and all(ord(character) >= 32 for character in text)


def check_file_name(value: str, *path: str) -> str:
    """The name of a file, or its path below its original folder. It is shown and offered, never opened."""
    name = check_line(value, *path)
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or "\x7f" in name:
        raise InvalidInput(f"{path[-1]} must be a name such as data.csv or plots/map.png, not {value[:100]!r}.", *path)
    if (size := max(len(part.encode(errors="replace")) for part in parts)) > MAX_FILE_NAME_BYTES:
        message = (
            f"{path[-1]} has a part of {size} bytes; the name of a file or folder has at most {MAX_FILE_NAME_BYTES}."
        )
        raise InvalidInput(message, *path)
    if (size := len(name.encode(errors="replace"))) > MAX_FILE_PATH_BYTES:
        raise InvalidInput(f"{path[-1]} has {size:,} bytes; a path has at most {MAX_FILE_PATH_BYTES:,}.", *path)
    return name


def check_text(value: str | None, *path: str) -> str | None:
    """A description of any number of lines."""
    if value is not None and len(value) > MAX_TEXT_LENGTH:
        raise InvalidInput(f"{path[-1]} has {len(value)} characters; at most {MAX_TEXT_LENGTH} are allowed.", *path)
    return value


@overload
def check_url(value: str, *path: str) -> str: ...
@overload
def check_url(value: str | None, *path: str) -> str | None: ...
def check_url(value: str | None, *path: str) -> str | None:
    """An absolute URL, or a URN, without secrets. Otherwise it is stored and compared unchanged, and never fetched."""
    if value is None:
        return None
    shown = without_secrets(value)[:100]
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise InvalidInput(f"{_field_name(*path)} {shown!r} is not a URL: {error}.", *path) from error
    absolute = parts.scheme and (parts.netloc or parts.scheme == "urn")
    if not absolute or parts.scheme == "javascript" or len(value) > MAX_URL_LENGTH or any(c.isspace() for c in value):
        raise InvalidInput(f"{_field_name(*path)} must be an absolute URL, not {shown!r}.", *path)
    return without_secrets(value)


def check_location(value: str, *path: str) -> str:
    """The URL of a file or directory, without secrets: of an object with its name unencoded, or any absolute URL.

    White space and control characters other than a blank are refused in names too, as they get there by accident.
    """
    url = value.lstrip()
    if not names_object(url):
        # Tools list files under their unencoded names, which may contain blanks.
        url = check_url(url.rstrip().replace(" ", "%20"), *path)
    if names_object(written := file_url(url)):
        _check_object(written, *path)
    return without_secrets(url)


def _check_object(url: str, *path: str) -> None:
    """Refuse an impossible URL of a bucket or an object."""
    if url.startswith("/", url.index("://") + 3):
        raise InvalidInput(f"{_field_name(*path)} {url[:100]!r} names no bucket.", *path)
    if character := FORBIDDEN_CHARACTER.search(url):
        name = f"{_field_name(*path)} {url[:100]!r}"
        raise InvalidInput(f"{name} holds {character[0]!a}, which file names must not.", *path)
    if (size := len(object_name(url).encode())) > MAX_OBJECT_NAME_BYTES:
        problem = f"{_field_name(*path)} {url[:100]!r} names an object in {size:,} bytes"
        raise InvalidInput(f"{problem}; names of objects have at most {MAX_OBJECT_NAME_BYTES:,}.", *path)


def _field_name(*path: str) -> str:
    """The name of the field at the end of a path; an item of a list has the list's name."""
    return path[-2] if path[-1].isdigit() and len(path) > 1 else path[-1]


def check_commit(value: str, *path: str) -> str:
    """The hash of a commit, whole or abbreviated, in lower case. Branches are refused: they move."""
    commit = value.strip().lower()
    if not COMMIT.fullmatch(commit):
        raise InvalidInput(f"{path[-1]} must be a commit hash, not {value[:100]!r}: branches move.", *path)
    return commit


def check_json(value: Any, *path: str, max_bytes: int) -> str:
    """A JSON value as text."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        utf8(text, noun=path[-1], max_bytes=max_bytes)
    except InvalidInput as refused:
        raise InvalidInput(refused.message, *path) from refused
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path[-1]} cannot be written as JSON: {error}.", *path) from error
    return text


def check_tags(value: list[str], *path: str) -> list[str]:
    """Tags without repeats, in the order given, each of one line."""
    if len(value) > MAX_TAGS:
        raise InvalidInput(f"{len(value):,} tags are too many; at most {MAX_TAGS} are allowed.", *path)
    return list(dict.fromkeys(check_line(tag, *path, str(number)) for number, tag in enumerate(value)))
