"""Finding the files of pipelines in a folder: CSV-W documents, info.json files, and lists of their origins."""

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

CSVW_FILE_NAME = re.compile(r"(-metadata|\.csv-metadata-schema)\.json$", re.IGNORECASE)
NAMESPACE = b"www.w3.org/ns/csvw"
MAX_LIST_BYTES = 50_000_000
MAX_PATH_LENGTH = 4_096
"""Characters of a path on Linux. Other texts in the lists are shorter."""


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
class FolderContents:
    """The parsed files of a folder. Paths are relative to it, with slashes."""

    folder: Path
    documents: dict[str, Document] = field(default_factory=dict)
    infos: dict[str, InfoFile] = field(default_factory=dict)
    histories: dict[str, list[Entry]] = field(default_factory=dict)
    """By the path of an index.json, its entries: the origin of each file, `{file, repo, path, commit, created}`."""
    sources: list[Entry] = field(default_factory=list)
    """The entries of every code_repo_sources.json: the last commits of files, `{repo, dir, source: {name: commit}}`."""
    checkouts: dict[str, str | None] = field(default_factory=dict)
    """By the path of a git checkout, the address that it was cloned from."""
    refused: list[Reason] = field(default_factory=list)
    others: int = 0
    """JSON files that are neither CSV-W documents nor info.json files."""


def find_files(folder: Path, progress: Progress) -> FolderContents:
    """The files of pipelines below `folder`, and the reasons why others are refused.

    Raises OSError if the folder itself cannot be read.
    """
    walk_result = walk(folder)
    contents = FolderContents(walk_result.folder, refused=walk_result.refused)
    for checkout in walk_result.checkouts:
        contents.checkouts[checkout] = origin(walk_result.folder / checkout / REPOSITORY, walk_result.folder)
    for done, file in enumerate(walk_result.files, 1):
        _read_file(contents, file)
        progress(READING, done, len(walk_result.files))
    return contents


def _read_file(contents: FolderContents, file: str) -> None:
    """Read one file, and record it by its kind."""
    name = file.rpartition("/")[2]
    try:
        content = read_regular(
            contents.folder / file, MAX_LIST_BYTES if name in REQUIRED_FIELDS else csvw.MAX_BYTES + 1
        )
    except OSError as error:
        contents.refused.append(Reason(kind_of(file), file, f"It cannot be read: {error.strerror}."))
        return
    if not _read_list(contents, file, content):
        _parse_object(contents, kind_of(file), file, content)


def _parse_object(contents: FolderContents, kind: str, file: str, content: bytes) -> None:
    if len(content) > csvw.MAX_BYTES:
        _refuse(contents, kind, file, content, f"It is larger than {csvw.MAX_BYTES:,} bytes.")
        return
    try:
        text = content.decode()
        if kind == INFOS:
            contents.infos[file] = InfoFile(file, text, read_info(text))
        else:
            contents.documents[file] = Document(file, text, read_csvw(text))
    except UnicodeDecodeError as error:
        _refuse(contents, kind, file, content, f"It is not UTF-8: {error.reason} at byte {error.start:,}.")
    except InvalidInput as refusal:
        _refuse(contents, kind, file, content, refusal.message)


def _refuse(contents: FolderContents, kind: str, file: str, content: bytes, reason: str) -> None:
    """Record why a file that may be meant as CSV-W or info.json is refused; other JSON files are only counted."""
    if kind == INFOS or CSVW_FILE_NAME.search(file) or NAMESPACE in content:
        contents.refused.append(Reason(kind, file, reason))
    else:
        contents.others += 1


INDEX = "index.json"
SOURCES = "code_repo_sources.json"
REQUIRED_FIELDS = {INDEX: ("file", "repo", "path"), SOURCES: ("repo", "dir", "source")}


def _read_list(contents: FolderContents, file: str, content: bytes) -> bool:
    """Record a list of versions or of pipelines' commits; returns False if the file is neither."""
    name = file.rpartition("/")[2]
    if name not in REQUIRED_FIELDS:
        return False
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, list):
        return False
    entries = [entry for element in value if (entry := _entry(element, REQUIRED_FIELDS[name]))]
    if not entries:
        contents.others += 1
        return True
    if missing := len(value) - len(entries):
        reason = f"{missing:,} of its {len(value):,} entries are not {{{', '.join(REQUIRED_FIELDS[name])}}}."
        contents.refused.append(Reason(LISTS, file, reason))
    if name == SOURCES:
        contents.sources += entries
    else:
        contents.histories[file] = entries
    return True


def _entry(value: object, required: tuple[str, ...]) -> Entry | None:
    """The fields of an entry that can be stored; None if a required one is missing."""
    if not isinstance(value, dict):
        return None
    entry = {
        storable_text(key): storable
        for key, member in value.items()
        if (storable := _storable_value(member)) is not None
    }
    return entry if all(key in entry for key in required) else None


def _storable_value(value: object) -> str | dict[str, str] | None:
    """A text no longer than paths, or an object of such texts; None for anything else."""
    if isinstance(value, dict):
        return {
            storable_text(key): text
            for key, member in value.items()
            if isinstance(text := _storable_value(member), str)
        }
    return storable_text(value) if isinstance(value, str) and len(value) <= MAX_PATH_LENGTH else None
