"""Finding files of pipelines in a folder: CSV-W documents, info.json files, and lists of their origins."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resolvers.formats import csvw
from resolvers.formats.csvw import Csvw, read_csvw
from resolvers.formats.info_json import Info, read_info
from resolvers.formats.json_text import storable_text
from resolvers.imports.folder import INFOS, LISTS, REPOSITORY, Reason, kind_of, read_regular, walk
from resolvers.imports.git_checkout.git_directory import origin
from resolvers.user_errors import InvalidInput

Entry = dict[str, Any]
Progress = Callable[[str, int, int], None]

READING = "files read"

NAMED_CSVW = re.compile(r"(-metadata|\.csv-metadata-schema)\.json$", re.IGNORECASE)
NAMESPACE = b"www.w3.org/ns/csvw"
LARGEST_LIST = 50_000_000
LONGEST_PATH = 4_096
"""Characters of a path on Linux, and more than any other text in the lists has."""


@dataclass(frozen=True)
class Document:
    """A CSV-W document, by its path below the folder. Its text has the file's exact bytes."""

    file: str
    text: str
    csvw: Csvw


@dataclass(frozen=True)
class InfoFile:
    """An info.json that describes a pipeline, by its path below the folder."""

    file: str
    text: str
    info: Info


@dataclass
class Found:
    """The contents of a folder. Paths are relative to it, with slashes."""

    folder: Path
    documents: dict[str, Document] = field(default_factory=dict)
    infos: dict[str, InfoFile] = field(default_factory=dict)
    histories: dict[str, list[Entry]] = field(default_factory=dict)
    """By the path of an index.json: which file is which version of what, `{file, repo, path, commit, created}`."""
    sources: list[Entry] = field(default_factory=list)
    """Of every code_repo_sources.json: the last commits of pipelines' files, `{repo, dir, source: {name: commit}}`."""
    checkouts: dict[str, str | None] = field(default_factory=dict)
    """By the path of a git checkout: the address that it was cloned from."""
    refused: list[Reason] = field(default_factory=list)
    others: int = 0
    """JSON files that have nothing to do with CSV-W."""


def find_files(folder: Path, progress: Progress) -> Found:
    """The useful files below `folder`, and the reasons for leaving out others.

    Raises OSError when the folder itself cannot be read.
    """
    met = walk(folder)
    found = Found(met.folder, refused=met.refused)
    for checkout in met.checkouts:
        found.checkouts[checkout] = origin(met.folder / checkout / REPOSITORY, met.folder)
    for done, file in enumerate(met.files, 1):
        _take(found, file)
        progress(READING, done, len(met.files))
    return found


def _take(found: Found, file: str) -> None:
    """Read one file, and record it by its kind."""
    name = file.rpartition("/")[2]
    try:
        content = read_regular(found.folder / file, LARGEST_LIST if name in WANTED else csvw.MAX_BYTES + 1)
    except OSError as error:
        found.refused.append(Reason(kind_of(file), file, f"It cannot be read: {error.strerror}."))
        return
    if not _is_list(found, file, content):
        _take_object(found, kind_of(file), file, content)


def _take_object(found: Found, kind: str, file: str, content: bytes) -> None:
    if len(content) > csvw.MAX_BYTES:
        _refuse(found, kind, file, content, f"It is larger than {csvw.MAX_BYTES:,} bytes.")
        return
    try:
        text = content.decode()
        if kind == INFOS:
            found.infos[file] = InfoFile(file, text, read_info(text))
        else:
            found.documents[file] = Document(file, text, read_csvw(text))
    except UnicodeDecodeError as error:
        _refuse(found, kind, file, content, f"It is not UTF-8: {error.reason} at byte {error.start:,}.")
    except InvalidInput as refusal:
        _refuse(found, kind, file, content, refusal.message)


def _refuse(found: Found, kind: str, file: str, content: bytes, reason: str) -> None:
    """Record the reason for refusing a file that may be meant as CSV-W or info.json; other JSON needs none."""
    if kind == INFOS or NAMED_CSVW.search(file) or NAMESPACE in content:
        found.refused.append(Reason(kind, file, reason))
    else:
        found.others += 1


INDEX = "index.json"
SOURCES = "code_repo_sources.json"
WANTED = {INDEX: ("file", "repo", "path"), SOURCES: ("repo", "dir", "source")}


def _is_list(found: Found, file: str, content: bytes) -> bool:
    """Record a list of versions or of pipelines' commits; False when the file is neither."""
    name = file.rpartition("/")[2]
    if name not in WANTED:
        return False
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, list):
        return False
    entries = [entry for one in value if (entry := _entry(one, WANTED[name]))]
    if not entries:
        found.others += 1
        return True
    if missing := len(value) - len(entries):
        reason = f"{missing:,} of its {len(value):,} entries are not {{{', '.join(WANTED[name])}}}."
        found.refused.append(Reason(LISTS, file, reason))
    if name == SOURCES:
        found.sources += entries
    else:
        found.histories[file] = entries
    return True


def _entry(value: object, wanted: tuple[str, ...]) -> Entry | None:
    """The storable fields of a list's entry; None when a required one is missing."""
    if not isinstance(value, dict):
        return None
    entry = {storable_text(key): kept for key, one in value.items() if (kept := _storable(one)) is not None}
    return entry if all(key in entry for key in wanted) else None


def _storable(value: object) -> str | dict[str, str] | None:
    """A path, name, commit or time, or an object of such values; None for anything else, and for anything longer than
    paths."""
    if isinstance(value, dict):
        return {storable_text(key): kept for key, one in value.items() if isinstance(kept := _storable(one), str)}
    return storable_text(value) if isinstance(value, str) and len(value) <= LONGEST_PATH else None
