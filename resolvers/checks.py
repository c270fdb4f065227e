"""Checks of single values. Each answers the value as it will be kept, or raises InvalidInput with its path."""

import json
import re
from typing import Any, overload
from urllib.parse import urlsplit

from resolvers.ingest.json_text import utf8
from resolvers.refusals import InvalidInput

LONGEST_LINE = 1_000
LONGEST_TEXT = 100_000
LONGEST_URL = 2_000
MOST_TAGS = 100
# Git abbreviates to no fewer than four digits; SHA-256 repositories have 64.
COMMIT = re.compile(r"[0-9a-f]{4,64}", re.ASCII)


@overload
def a_line(value: str, *path: str) -> str: ...
@overload
def a_line(value: str | None, *path: str) -> str | None: ...
def a_line(value: str | None, *path: str) -> str | None:
    """A name or title: one line that is not blank, without blanks around it."""
    if value is None:
        return None
    line = value.strip()
    if not line or len(line) > LONGEST_LINE or any(ord(character) < 32 for character in line):
        shown = value if len(value) < 100 else f"{value[:100]}…"
        raise InvalidInput(f"{path[-1]} must be one line of 1 to {LONGEST_LINE} characters, not {shown!r}.", *path)
    return line


def a_file_name(value: str, *path: str) -> str:
    """The name of a file, or its path below the folder it came from. It is shown and offered, never opened."""
    name = a_line(value, *path)
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or "\x7f" in name:
        raise InvalidInput(f"{path[-1]} must be a name such as data.csv or plots/map.png, not {value[:100]!r}.", *path)
    return name


def a_text(value: str | None, *path: str) -> str | None:
    """A description of any number of lines."""
    if value is not None and len(value) > LONGEST_TEXT:
        raise InvalidInput(f"{path[-1]} has {len(value)} characters; at most {LONGEST_TEXT} are kept.", *path)
    return value


@overload
def a_url(value: str, *path: str) -> str: ...
@overload
def a_url(value: str | None, *path: str) -> str | None: ...
def a_url(value: str | None, *path: str) -> str | None:
    """An absolute URL, or a URN. It is kept and compared as it is, never fetched."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise InvalidInput(f"{path[-1]} {value[:100]!r} is no URL: {error}.", *path) from error
    absolute = parts.scheme and (parts.netloc or parts.scheme == "urn")
    if not absolute or parts.scheme == "javascript" or len(value) > LONGEST_URL or any(c.isspace() for c in value):
        raise InvalidInput(f"{path[-1]} must be an absolute URL, not {value[:100]!r}.", *path)
    return value


def a_commit(value: str, *path: str) -> str:
    """The hash of a commit, whole or abbreviated, in lower case. A branch is none: branches move."""
    commit = value.strip().lower()
    if not COMMIT.fullmatch(commit):
        raise InvalidInput(f"{path[-1]} must be a commit's hash, not {value[:100]!r}: branches move.", *path)
    return commit


def a_json(value: Any, *path: str, max_bytes: int) -> str:
    """The text of a JSON value."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        utf8(text, noun=path[-1], max_bytes=max_bytes)
    except InvalidInput as refused:
        raise InvalidInput(refused.message, *path) from refused
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path[-1]} has no JSON text: {error}.", *path) from error
    return text


def tags(value: list[str], *path: str) -> list[str]:
    """Tags, each one line, without repeats, in the order given."""
    if len(value) > MOST_TAGS:
        raise InvalidInput(f"{len(value)} tags; at most {MOST_TAGS} are kept.", *path)
    return list(dict.fromkeys(a_line(tag, *path, str(number)) for number, tag in enumerate(value)))
