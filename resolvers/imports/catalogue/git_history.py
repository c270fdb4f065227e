"""The git history of files in checkouts: their commits and, on request, their earlier states."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from resolvers.formats import csvw
from resolvers.formats.csvw import read_csvw
from resolvers.imports.catalogue.files import Document, Found, Progress
from resolvers.imports.folder import DOCUMENTS, FOLDERS, REPOSITORY, Reason
from resolvers.imports.git_checkout.commits import Commits, Touch, blob_id, read_commits
from resolvers.imports.git_checkout.git_directory import Unreadable, read_git_directory
from resolvers.imports.git_checkout.objects import GitObjects
from resolvers.user_errors import InvalidInput
from resolvers.validators import is_line

READING = "checkouts read"
CODE = (".py", ".ipynb", ".r", ".rmd", ".jl", ".sh", ".sql")
"""File extensions of code."""
PATTERNS = tuple(f":(icase)*{ending}" for ending in (".json", *CODE))
MOST_CODE = 100
"""Code files recorded for one pipeline."""
MAX_EARLIER_BYTES = 250_000_000
"""Bytes of all earlier states together, which are held in memory until they are published."""
SHALLOW = "It is a shallow clone: files unchanged since its first commit are given that commit."
CHANGED = "It has uncommitted changes, so its commit is not known."
UNCOMMITTED = "It is not committed, so its commit is not known."

State = tuple[str, Touch]
"""A state of a document: a blob, and the commit that created it."""


@dataclass(frozen=True)
class Earlier:
    """An earlier state of a document, and the commit that created it. `created` is None where git has no valid time."""

    document: Document
    commit: str
    created: datetime | None


@dataclass
class Tracked:
    """The git history of a document: the commit of its present state, and its earlier states.

    `commit` and `created` are None where it has uncommitted changes.
    """

    commit: str | None = None
    created: datetime | None = None
    earlier: list[Earlier] = field(default_factory=list)


@dataclass
class Told:
    """The git history of the documents in a folder."""

    commits: dict[str, Commits] = field(default_factory=dict)
    """By the path of a checkout."""
    tracked: dict[str, Tracked] = field(default_factory=dict)
    """By the path of a document."""
    adjusted: list[Reason] = field(default_factory=list)
    refused: list[Reason] = field(default_factory=list)

    def commits_of(self, file: str) -> Commits | None:
        """The commits of the checkout that a file lies in."""
        checkout = innermost(self.commits, file)
        return None if checkout is None else self.commits[checkout]


def innermost(checkouts: Container[str], file: str) -> str | None:
    """The innermost of some folders that a file lies in, None when it lies in none."""
    return next((folder for folder in _above(file) if folder in checkouts), None)


def code_at(commits: Commits, directory: str, info: str | None, commit: str | None = None) -> list[dict[str, str]]:
    """The code of a pipeline at a commit, or now: `{path, commit}`, with the last change of each file.

    Code comes before the description, which is called `info`. Empty for an unknown commit.
    """
    if commit is not None and commit not in commits:
        return []
    code = sorted((path for path in commits.paths_in(directory) if is_code(path)), key=_main_first)[:MOST_CODE]
    paths = [*code, f"{directory}/{info}".lstrip("/")] if info else code
    found = ((path, commits.last(path, commit)) for path in paths)
    return [{"path": path, "commit": touch.commit} for path, touch in found if touch and is_line(path)]


def is_code(path: str) -> bool:
    """Whether a file is code, by its name."""
    return path.lower().endswith(CODE)


def _main_first(path: str) -> tuple[bool, str]:
    return not path.rpartition("/")[2].startswith("main."), path


def read_checkouts(found: Found, progress: Progress, *, history: bool = False) -> Told:
    """Read the git history of a folder's documents; with `history` their earlier states as well.

    A checkout whose commits cannot be read is reported, and its documents are imported without them.
    """
    reading = _Reading(found, history=history)
    files = _by_checkout(found)
    for done, (checkout, inside) in enumerate(sorted(files.items()), 1):
        try:
            reading.read(checkout, inside)
        except Unreadable as error:
            reading.told.adjusted.append(Reason(FOLDERS, checkout or ".", f"Its commits are not read: {error}"))
        progress(READING, done, len(files))
    return reading.told


def _by_checkout(found: Found) -> dict[str, list[str]]:
    files: dict[str, list[str]] = defaultdict(list)
    for file in (*found.documents, *found.infos):
        if (checkout := innermost(found.checkouts, file)) is not None:
            files[checkout].append(file)
    return files


class _Reading:
    """Reads one checkout after the other."""

    def __init__(self, found: Found, *, history: bool) -> None:
        self.told = Told()
        self._found = found
        self._history = history
        self._left = MAX_EARLIER_BYTES

    def read(self, checkout: str, files: list[str]) -> None:
        """Read the git history of some files of a checkout. Raises Unreadable."""
        directory = read_git_directory(self._found.folder / checkout / REPOSITORY, self._found.folder)
        paths = {file: file.removeprefix(checkout).lstrip("/") for file in files}
        with GitObjects(directory) as objects:
            commits = read_commits(objects, directory, _Wanted(paths.values()), PATTERNS)
            touches = {file: self._touches(commits, path) for file, path in paths.items()}
            tracked = {file: self._tracked(file, touches[file]) for file in files if file in self._found.documents}
            if self._history:
                self._add_earlier(objects, tracked, touches)
        if directory.shallow:
            self.told.adjusted.append(Reason(FOLDERS, checkout or ".", SHALLOW))
        self.told.commits[checkout] = commits
        self.told.tracked |= tracked

    def _touches(self, commits: Commits, path: str) -> list[Touch]:
        """The changes of a file, newest first; only the newest unless the history is requested."""
        return list(islice(commits.touches(path), None if self._history else 1))

    def _tracked(self, file: str, touches: list[Touch]) -> Tracked:
        blob = touches[0].blob if touches else None
        if blob and blob == blob_id(self._found.documents[file].text.encode(), alike=blob):
            return Tracked(touches[0].commit, touches[0].at)
        self.told.adjusted.append(Reason(DOCUMENTS, file, CHANGED if blob else UNCOMMITTED))
        return Tracked()

    def _add_earlier(self, objects: GitObjects, tracked: dict[str, Tracked], touches: dict[str, list[Touch]]) -> None:
        before = {file: _before(one, touches[file]) for file, one in tracked.items()}
        sizes = objects.sizes(sorted({blob for states in before.values() for blob, _ in states}))
        wanted = {file: self._readable(file, states, sizes) for file, states in before.items()}
        contents = dict(objects.contents(sorted({blob for states in wanted.values() for blob, _ in states})))
        for file, states in wanted.items():
            for blob, touch in states:
                if document := self._document(f"{file}@{touch.commit[:12]}", contents[blob]):
                    tracked[file].earlier.append(Earlier(document, touch.commit, touch.at))

    def _readable(self, file: str, states: list[State], sizes: dict[str, int]) -> list[State]:
        """The states whose bytes exist and fit into memory; of one document all of them, or none."""
        here = [state for state in states if state[0] in sizes]
        if missing := len(states) - len(here):
            reason = f"{missing:,} of its {len(states):,} earlier versions are not in the checkout, a partial clone."
            self.told.adjusted.append(Reason(DOCUMENTS, file, reason))
        small = [(blob, touch) for blob, touch in here if sizes[blob] <= csvw.MAX_BYTES]
        for _, touch in (state for state in here if sizes[state[0]] > csvw.MAX_BYTES):
            reason = f"It is larger than {csvw.MAX_BYTES:,} bytes."
            self.told.refused.append(Reason(DOCUMENTS, f"{file}@{touch.commit[:12]}", reason))
        size = sum(sizes[blob] for blob, _ in small)
        if size > self._left:
            reason = f"Its {len(small):,} earlier versions are not read: there are more than fit into memory."
            self.told.adjusted.append(Reason(DOCUMENTS, file, reason))
            return []
        self._left -= size
        return small

    def _document(self, name: str, content: bytes) -> Document | None:
        try:
            text = content.decode()
            return Document(name, text, read_csvw(text))
        except UnicodeDecodeError as error:
            reason = f"It is not UTF-8: {error.reason} at byte {error.start:,}."
        except InvalidInput as refusal:
            reason = refusal.message
        self.told.refused.append(Reason(DOCUMENTS, name, reason))
        return None


def _before(tracked: Tracked, touches: list[Touch]) -> list[State]:
    """The earlier states of a document, oldest first, without its present one."""
    older = touches[1:] if tracked.commit else touches
    return [(touch.blob, touch) for touch in reversed(older) if touch.blob]


class _Wanted:
    """The documents and descriptions that were found, and the code in the directories above them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._directories = {directory for path in self._paths for directory in _above(path)}

    def __call__(self, path: str) -> bool:
        return path in self._paths or (is_code(path) and path.rpartition("/")[0] in self._directories)


def _above(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
