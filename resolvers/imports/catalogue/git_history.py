"""The git history of files in checkouts: their commits and, on request, their earlier states."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from resolvers.file_events.code_repo import SourceFileValues
from resolvers.formats import csvw
from resolvers.formats.csvw import read_csvw
from resolvers.imports.catalogue.files import Document, FolderContents, Progress
from resolvers.imports.folder import DOCUMENTS, FOLDERS, REPOSITORY, Reason
from resolvers.imports.git_checkout.commits import Commits, Touch, blob_id, read_commits
from resolvers.imports.git_checkout.git_directory import GitReadError, read_git_directory
from resolvers.imports.git_checkout.objects import GitObjects
from resolvers.user_errors import InvalidInput
from resolvers.validators import is_line

READING = "checkouts read"
CODE = (".py", ".ipynb", ".r", ".rmd", ".jl", ".sh", ".sql")
"""File extensions of code."""
PATTERNS = tuple(f":(icase)*{ending}" for ending in (".json", *CODE))
MAX_CODE_FILES = 100
"""Code files recorded for one pipeline."""
MAX_EARLIER_BYTES = 250_000_000
"""Bytes of all earlier states together: they stay in memory until they are published."""
SHALLOW = "It is a shallow clone: files unchanged since its first commit are given that commit."
CHANGED = "It has uncommitted changes, so its commit is not known."
UNCOMMITTED = "It is not committed, so its commit is not known."

State = tuple[str, Touch]
"""A state of a document: a blob, and the commit that created it."""


@dataclass(frozen=True)
class EarlierState:
    """An earlier state of a document, and the commit that created it. `created` is None if git has no valid time."""

    document: Document
    commit: str
    created: datetime | None


@dataclass
class DocumentHistory:
    """The git history of a document: the commit of its present state, and its earlier states.

    `commit` and `created` are None if it has uncommitted changes.
    """

    commit: str | None = None
    created: datetime | None = None
    earlier: list[EarlierState] = field(default_factory=list)


@dataclass
class GitHistory:
    """The git history of the documents in a folder."""

    commits: dict[str, Commits] = field(default_factory=dict)
    """By the path of a checkout."""
    documents: dict[str, DocumentHistory] = field(default_factory=dict)
    """By the path of a document."""
    adjusted: list[Reason] = field(default_factory=list)
    refused: list[Reason] = field(default_factory=list)

    def commits_of(self, file: str) -> Commits | None:
        """The commits of the checkout that contains a file."""
        checkout = innermost_folder(self.commits, file)
        return None if checkout is None else self.commits[checkout]


def innermost_folder(checkouts: Container[str], file: str) -> str | None:
    """The innermost of the folders that contain a file; None if none of them does."""
    return next((folder for folder in _ancestors(file) if folder in checkouts), None)


def code_at(commits: Commits, directory: str, info: str | None, commit: str | None = None) -> list[SourceFileValues]:
    """The files of a pipeline at a commit, or now, each with the commit that last changed it: `{path, commit}`.

    Code goes before the description, whose file name is `info`. Empty for an unknown commit.
    """
    if commit is not None and commit not in commits:
        return []
    code = sorted((path for path in commits.paths_in(directory) if is_code(path)), key=_main_first)[:MAX_CODE_FILES]
    paths = [*code, f"{directory}/{info}".lstrip("/")] if info else code
    touches = ((path, commits.last(path, commit)) for path in paths)
    return [{"path": path, "commit": touch.commit} for path, touch in touches if touch and is_line(path)]


def is_code(path: str) -> bool:
    """Whether the name of a file is that of code."""
    return path.lower().endswith(CODE)


def _main_first(path: str) -> tuple[bool, str]:
    return not path.rpartition("/")[2].startswith("main."), path


def read_checkouts(contents: FolderContents, progress: Progress, *, history: bool = False) -> GitHistory:
    """Read the git history of a folder's documents; with `history`, including their earlier states.

    If the commits of a checkout cannot be read, that is reported, and its documents are imported without them.
    """
    reader = _HistoryReader(contents, history=history)
    files = _by_checkout(contents)
    for done, (checkout, inside) in enumerate(sorted(files.items()), 1):
        try:
            reader.read(checkout, inside)
        except GitReadError as error:
            reader.history.adjusted.append(Reason(FOLDERS, checkout or ".", f"Its commits are not read: {error}"))
        progress(READING, done, len(files))
    return reader.history


def _by_checkout(contents: FolderContents) -> dict[str, list[str]]:
    files: dict[str, list[str]] = defaultdict(list)
    for file in (*contents.documents, *contents.infos):
        if (checkout := innermost_folder(contents.checkouts, file)) is not None:
            files[checkout].append(file)
    return files


class _HistoryReader:
    """Reads one checkout after another, within a common budget of bytes for earlier states."""

    def __init__(self, contents: FolderContents, *, history: bool) -> None:
        self.history = GitHistory()
        self._contents = contents
        self._with_history = history
        self._remaining_bytes = MAX_EARLIER_BYTES

    def read(self, checkout: str, files: list[str]) -> None:
        """Read the git history of these files of a checkout. Raises GitReadError."""
        directory = read_git_directory(self._contents.folder / checkout / REPOSITORY, self._contents.folder)
        paths = {file: file.removeprefix(checkout).lstrip("/") for file in files}
        with GitObjects(directory) as objects:
            commits = read_commits(objects, directory, _RelevantPaths(paths.values()), PATTERNS)
            touches = {file: self._touches(commits, path) for file, path in paths.items()}
            documents = {
                file: self._document_history(file, touches[file]) for file in files if file in self._contents.documents
            }
            if self._with_history:
                self._add_earlier(objects, documents, touches)
        if directory.shallow:
            self.history.adjusted.append(Reason(FOLDERS, checkout or ".", SHALLOW))
        self.history.commits[checkout] = commits
        self.history.documents |= documents

    def _touches(self, commits: Commits, path: str) -> list[Touch]:
        """The changes of a file, newest first; only the newest unless the history is requested."""
        return list(islice(commits.touches(path), None if self._with_history else 1))

    def _document_history(self, file: str, touches: list[Touch]) -> DocumentHistory:
        blob = touches[0].blob if touches else None
        if blob and blob == blob_id(self._contents.documents[file].text.encode(), like=blob):
            return DocumentHistory(touches[0].commit, touches[0].at)
        self.history.adjusted.append(Reason(DOCUMENTS, file, CHANGED if blob else UNCOMMITTED))
        return DocumentHistory()

    def _add_earlier(
        self, objects: GitObjects, documents: dict[str, DocumentHistory], touches: dict[str, list[Touch]]
    ) -> None:
        before = {file: _earlier_states(history, touches[file]) for file, history in documents.items()}
        sizes = objects.sizes(sorted({blob for states in before.values() for blob, _ in states}))
        wanted = {file: self._readable_states(file, states, sizes) for file, states in before.items()}
        contents = dict(objects.contents(sorted({blob for states in wanted.values() for blob, _ in states})))
        for file, states in wanted.items():
            for blob, touch in states:
                if document := self._document(f"{file}@{touch.commit[:12]}", contents[blob]):
                    documents[file].earlier.append(EarlierState(document, touch.commit, touch.at))

    def _readable_states(self, file: str, states: list[State], sizes: dict[str, int]) -> list[State]:
        """The states whose bytes exist and fit into memory: all of a document's, or none."""
        here = [state for state in states if state[0] in sizes]
        if missing := len(states) - len(here):
            reason = f"{missing:,} of its {len(states):,} earlier versions are not in the checkout, a partial clone."
            self.history.adjusted.append(Reason(DOCUMENTS, file, reason))
        small = [(blob, touch) for blob, touch in here if sizes[blob] <= csvw.MAX_BYTES]
        for _, touch in (state for state in here if sizes[state[0]] > csvw.MAX_BYTES):
            reason = f"It is larger than {csvw.MAX_BYTES:,} bytes."
            self.history.refused.append(Reason(DOCUMENTS, f"{file}@{touch.commit[:12]}", reason))
        size = sum(sizes[blob] for blob, _ in small)
        if size > self._remaining_bytes:
            reason = f"Its {len(small):,} earlier versions are not read: there are more than fit into memory."
            self.history.adjusted.append(Reason(DOCUMENTS, file, reason))
            return []
        self._remaining_bytes -= size
        return small

    def _document(self, name: str, content: bytes) -> Document | None:
        try:
            text = content.decode()
            return Document(name, text, read_csvw(text))
        except UnicodeDecodeError as error:
            reason = f"It is not UTF-8: {error.reason} at byte {error.start:,}."
        except InvalidInput as refusal:
            reason = refusal.message
        self.history.refused.append(Reason(DOCUMENTS, name, reason))
        return None


def _earlier_states(history: DocumentHistory, touches: list[Touch]) -> list[State]:
    """The earlier states of a document, oldest first, without its present one."""
    older = touches[1:] if history.commit else touches
    return [(touch.blob, touch) for touch in reversed(older) if touch.blob]


class _RelevantPaths:
    """A filter for the documents and descriptions of a folder, and for the code in the directories above them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._directories = {directory for path in self._paths for directory in _ancestors(path)}

    def __call__(self, path: str) -> bool:
        return path in self._paths or (is_code(path) and path.rpartition("/")[0] in self._directories)


def _ancestors(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
