"""Finding what pipelines left behind in a folder: CSV-W documents, info.json files, and lists that say where from."""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from resolvers.ingest import csvw
from resolvers.ingest.csvw import Csvw, read_csvw
from resolvers.ingest.info_json import Info, read_info
from resolvers.refusals import InvalidInput

Entry = dict[str, Any]
Progress = Callable[[str, int, int], None]

DOCUMENTS, INFOS, FOLDERS, LISTS = "CSV-W documents", "info.json files", "folders", "lists of commits"
READING = "files read"

NAMED_CSVW = re.compile(r"(-metadata|\.csv-metadata-schema)\.json$", re.IGNORECASE)
NAMESPACE = b"www.w3.org/ns/csvw"
LARGEST_LIST = 50_000_000


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


class Reason(NamedTuple):
    """Why a file or folder was not taken. `kind` says what it was taken for."""

    kind: str
    file: str
    reason: str


@dataclass
class Found:
    """All that lies in a folder. Paths are relative to it, with slashes."""

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
    """Everything of use below `folder`. Links that lead out of it are refused, those within it are passed over.

    Raises OSError when the folder itself cannot be read.
    """
    found = Found(folder.resolve(strict=True))
    os.scandir(found.folder).close()
    names = sorted(name for name in _json_files(found) if not _refused_name(found, name))
    for done, name in enumerate(names, 1):
        _take(found, name)
        progress(READING, done, len(names))
    return found


def _json_files(found: Found) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        where = _relative(found, Path(error.filename))
        found.refused.append(Reason(FOLDERS, where, f"It cannot be read: {error.strerror}."))

    for place, folders, files in os.walk(found.folder, onerror=unreadable):
        here = Path(place)
        if ".git" in (*folders, *files):
            found.checkouts[_relative(found, here)] = _cloned_from(here / ".git" / "config")
        folders[:] = sorted(name for name in folders if name != ".git" and not _refused_link(found, here / name))
        for name in files:
            if name.lower().endswith(".json") and not _refused_link(found, here / name):
                yield _relative(found, here / name)


def _refused_link(found: Found, path: Path) -> bool:
    """Whether a path is a link. What it leads to within the folder is found where it lies."""
    if not path.is_symlink():
        return False
    if not path.resolve().is_relative_to(found.folder):
        kind = DOCUMENTS if path.name.lower().endswith(".json") else FOLDERS
        found.refused.append(Reason(kind, _relative(found, path), "It is a link that leads out of the folder."))
    return True


def _refused_name(found: Found, file: str) -> bool:
    """Whether a path holds bytes that are no text, so that no answer could name it."""
    shown = file.encode("utf-8", "replace").decode()
    if shown != file:
        found.refused.append(Reason(DOCUMENTS, shown, "Its path is not UTF-8."))
    return shown != file


def _take(found: Found, file: str) -> None:
    """Read one file, and keep it as what it is."""
    path = found.folder / file
    kind = INFOS if _is_info(path.name) else DOCUMENTS
    try:
        content = _read(path)
    except OSError as error:
        found.refused.append(Reason(kind, file, f"It cannot be read: {error.strerror}."))
        return
    if content is None:
        found.others += 1
    elif not _is_list(found, file, content):
        _take_object(found, kind, file, content)


def _read(path: Path) -> bytes | None:
    """The bytes of a file; the beginning of one that is too large for anything here; None for pipes and the like."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as opened:
        return opened.read(LARGEST_LIST if path.name in (INDEX, SOURCES) else csvw.MAX_BYTES + 1)


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
    """Give the reason for what may be meant as CSV-W or info.json; other JSON is nothing to complain about."""
    if kind == INFOS or NAMED_CSVW.search(file) or NAMESPACE in content:
        found.refused.append(Reason(kind, file, reason))
    else:
        found.others += 1


INDEX = "index.json"
SOURCES = "code_repo_sources.json"
WANTED = {INDEX: ("file", "repo", "path"), SOURCES: ("repo", "dir", "source")}


def _is_list(found: Found, file: str, content: bytes) -> bool:
    """Keep a list of versions or of pipelines' commits; False when the file is neither."""
    name = file.rpartition("/")[2]
    if name not in WANTED:
        return False
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, list):
        return False
    entries = [one for one in value if isinstance(one, dict) and all(key in one for key in WANTED[name])]
    if name == SOURCES:
        found.sources += entries
    elif entries:
        found.histories[file] = entries
    else:
        found.others += 1
    return True


def _is_info(name: str) -> bool:
    return name.lower() == "info.json" or name.lower().endswith("-info.json")


def _cloned_from(config: Path) -> str | None:
    """The address of a checkout's origin, None when it has none or its settings lie elsewhere."""
    try:
        text = config.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    section = re.search(r'^\[remote "origin"\]\s*\n((?:(?!\[).*\n?)*)', text, re.MULTILINE)
    address = section and re.search(r"^\s*url\s*=\s*(\S+)", section[1], re.MULTILINE)
    return address[1] if address else None


def _relative(found: Found, path: Path) -> str:
    """A path below the folder, empty for the folder itself."""
    relative = path.relative_to(found.folder).as_posix()
    return "" if relative == "." else relative
