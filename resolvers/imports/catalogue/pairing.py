"""Matching files with pipelines: which documents are states of one dataset, and which pipeline made them.

A pipeline is a directory of a repository; each `x-info.json` there describes another one. A document belongs to the
nearest directory upwards that has an info.json, in any tree, or files of code in a list of commits; without one, to its
own directory. If that has several pipelines, the document belongs to the one with its name.
"""

import re
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from resolvers.file_events.code_repo import SourceFileValues
from resolvers.formats.dates import instant
from resolvers.formats.slugs import file_slug, slug
from resolvers.imports.catalogue.files import Document, Entry, FolderContents, InfoFile
from resolvers.imports.catalogue.git_history import DocumentHistory, GitHistory, code_at
from resolvers.imports.catalogue.repositories import Repositories, Repository, parse_repository
from resolvers.imports.folder import FOLDERS, INFOS, LISTS, TOP, Reason
from resolvers.imports.git_checkout.commits import Commits
from resolvers.imports.git_checkout.remote import without_secrets
from resolvers.validators import COMMIT

RepositoryPath = tuple[str, str]
"""A repository's key and a path in it."""

INFO_NAME = re.compile(r"-?info\.json$", re.IGNORECASE)
VERSION_NAME = re.compile(r"v(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class State:
    """A state of a document. Its time and commit are None if no list or checkout has them.

    `is_listed` says that it has a position in a history; a state without one is the present state.
    """

    document: Document
    is_listed: bool = False
    created: datetime | None = None
    commit: str | None = None


@dataclass(eq=False)
class Series:
    """The states of one document, the present one last: each becomes a version of one dataset."""

    path: str
    states: list[State]

    @property
    def present(self) -> Document:
        """The present state of the document."""
        return self.states[-1].document

    @cached_property
    def digests(self) -> frozenset[str]:
        """The SHA-256 of each state."""
        return frozenset(state.document.csvw.sha256 for state in self.states)


@dataclass
class Pipeline:
    """The code in a directory of a repository, and the documents that it made."""

    repository: Repository
    directory: str
    name: str = ""
    """The pipeline's name within its directory: `x` of `x-info.json`, empty for info.json."""
    info: InfoFile | None = None
    source: list[SourceFileValues] = field(default_factory=list)
    """The last commits of its files, `{path, commit}`, the code first; empty if no list or checkout has them."""
    series: list[Series] = field(default_factory=list)
    commits: Commits | None = None
    """The commits of the checkout that contains it."""

    @property
    def info_name(self) -> str | None:
        """The name of the file that describes the pipeline."""
        return self.info.file.rpartition("/")[2] if self.info else None

    def code_at(self, commit: str | None = None) -> list[SourceFileValues]:
        """The files at a commit, or now, `{path, commit}`; empty if no checkout contains them."""
        return code_at(self.commits, self.directory, self.info_name, commit) if self.commits else []


@dataclass
class MatchedFiles:
    """The pipelines with their files, and the decisions made for them."""

    pipelines: list[Pipeline]
    adjusted: list[Reason]
    refused: list[Reason]


def match_pipelines(contents: FolderContents, git_history: GitHistory) -> MatchedFiles:
    """The pipelines of a folder, in the order of repository and directory, each with its documents and commits."""
    matcher = _PipelineMatcher(contents, git_history)
    matcher.add_pipelines()
    matcher.add_series()
    matcher.add_code()
    pipelines = [pipeline for _, pipeline in sorted(matcher.pipelines.items())]
    used = [pipeline for pipeline in pipelines if pipeline.info or pipeline.series]
    return MatchedFiles(used, matcher.adjusted, matcher.refused)


class _PipelineMatcher:
    def __init__(self, contents: FolderContents, git_history: GitHistory) -> None:
        self.adjusted: list[Reason] = []
        self.refused: list[Reason] = []
        self.pipelines: dict[tuple[str, str, str], Pipeline] = {}
        self._contents = contents
        self._git_history = git_history
        self._repositories = Repositories(contents)
        self._series: dict[RepositoryPath, tuple[Repository, Series]] = {}

    def add_pipelines(self) -> None:
        """Add a pipeline for each directory that a list of commits names, or that has an info.json."""
        for entry in self._contents.sources:
            repository, directory = parse_repository(str(entry["repo"])), str(entry["dir"]).strip("/")
            directory = "" if directory == "." else directory
            if repository and (source := _source(directory, entry["source"])):
                self._pipeline(repository, directory).source = source
        for file in sorted(self._contents.infos):
            repository, path = self._repositories.locate(file)
            directory, _, name = path.rpartition("/")
            pipeline = self._pipeline(repository, directory, INFO_NAME.sub("", name))
            if pipeline.info is None:
                pipeline.info = self._contents.infos[file]
            else:
                self.refused.append(Reason(INFOS, file, f"Its pipeline is described by {pipeline.info.file} already."))

    def add_series(self) -> None:
        """Add the states of listed histories, then the present states; then give each series to its pipeline."""
        states: set[str] = set()
        for index, entries in self._contents.histories.items():
            states |= self._add_history(index, entries)
        self._add_present(document for file, document in self._contents.documents.items() if file not in states)
        by_directory: dict[RepositoryPath, list[Pipeline]] = defaultdict(list)
        for (key, directory, _), pipeline in sorted(self.pipelines.items()):
            by_directory[key, directory].append(pipeline)
        for repository, series in self._series.values():
            directory = _nearest_directory(by_directory, repository, series.path)
            producer = _producer(by_directory.get((repository.key, directory), []), series)
            (producer or self._pipeline(repository, directory)).series.append(series)

    def _add_present(self, present: Iterable[Document]) -> None:
        assumed: dict[str, Repository] = {}
        for document in sorted(present, key=lambda document: _natural_key(document.file)):
            repository, path = self._repositories.locate(document.file)
            self._add_states(repository, path, document)
            if repository.assumed:
                assumed[document.file.removesuffix(path).rstrip("/")] = repository
        for folder, repository in assumed.items():
            reason = f"It is assumed to be {repository.url}, because the repositories next to it have that owner."
            self.adjusted.append(Reason(FOLDERS, folder or TOP, reason))

    def _add_states(self, repository: Repository, path: str, document: Document) -> None:
        """Add the present state, after its earlier states in git unless a list has them already."""
        history = self._git_history.documents.get(document.file, DocumentHistory())
        series = _series_path(path)
        is_history = bool(history.earlier) and series == path and (repository.key, series) not in self._series
        for state in history.earlier if is_history else ():
            self._add_state(repository, path, State(state.document, True, state.created, state.commit))
        is_listed = is_history and history.commit is not None
        self._add_state(repository, series, State(document, is_listed, history.created, history.commit))

    def add_code(self) -> None:
        """Add the files of pipelines in checkouts, unless a list has them."""
        for pipeline in self.pipelines.values():
            files = [series.states[-1].document.file for series in pipeline.series]
            candidates = map(self._git_history.commits_of, [*([pipeline.info.file] if pipeline.info else []), *files])
            pipeline.commits = next((commits for commits in candidates if commits), None)
            plain = self.pipelines.get((pipeline.repository.key, pipeline.directory, ""), pipeline)
            pipeline.source = pipeline.source or plain.source or pipeline.code_at()

    def _add_history(self, index: str, entries: list[Entry]) -> set[str]:
        """Add the states of a listed history whose files exist in the folder; returns these files."""
        located = [(file, entry) for entry in entries if (file := _listed_file(self._contents, index, entry))]
        if missing := len(entries) - len(located):
            self.adjusted.append(Reason(LISTS, index, f"{missing:,} of its {len(entries):,} files are not here."))
        for file, entry in sorted(located, key=lambda pair: _natural_key(pair[0])):
            repository = parse_repository(str(entry["repo"])) or Repository(without_secrets(str(entry["repo"])))
            commit = str(entry.get("commit"))
            commit_id = commit if COMMIT.fullmatch(commit.lower()) else None
            state = State(self._contents.documents[file], True, instant(str(entry.get("created"))), commit_id)
            self._add_state(repository, str(entry["path"]), state)
        return {file for file, _ in located}

    def _add_state(self, repository: Repository, path: str, state: State) -> None:
        key = (repository.key, path)
        if key not in self._series:
            self._series[key] = (repository, Series(path, []))
        self._series[key][1].states.append(state)

    def _pipeline(self, repository: Repository, directory: str, name: str = "") -> Pipeline:
        return self.pipelines.setdefault((repository.key, directory, name), Pipeline(repository, directory, name))


def _producer(pipelines: list[Pipeline], series: Series) -> Pipeline | None:
    """The pipeline of a directory that made a document: that of its name, else the first with an info.json, else the
    first."""
    names = {file_slug(series.path.rstrip("/")), series.present.csvw.identifier}
    same_name = [pipeline for pipeline in pipelines if pipeline.name and slug(pipeline.name) in names]
    return next(iter([*same_name, *(pipeline for pipeline in pipelines if pipeline.info), *pipelines]), None)


def _nearest_directory(directories: Container[RepositoryPath], repository: Repository, path: str) -> str:
    """The nearest directory upwards from a path that has pipelines, else the path's own."""
    own = directory = path.rpartition("/")[0]
    while (repository.key, directory) not in directories:
        if not directory:
            return own
        directory = directory.rpartition("/")[0]
    return directory


def _source(directory: str, commits: Any) -> list[SourceFileValues]:
    """The files of a pipeline with their commits: code before descriptions."""
    items = commits.items() if isinstance(commits, dict) else ()
    files = [(str(name), str(commit)) for name, commit in items if COMMIT.fullmatch(str(commit).lower())]
    files.sort(key=lambda file: (not file[0].endswith(".py"), file[0] != "info.json", file[0]))
    return [{"path": f"{directory}/{name}".lstrip("/"), "commit": commit} for name, commit in files]


def _listed_file(contents: FolderContents, index: str, entry: Entry) -> str | None:
    """The path of the document that an entry names, relative to the index or to a folder above it."""
    folder = index.rpartition("/")[0]
    parts = str(entry["file"]).split("/")
    candidates = ("/".join(parts[start:]) for start in range(len(parts)))
    paths = (f"{folder}/{candidate}".lstrip("/") for candidate in candidates)
    return next((path for path in paths if path in contents.documents), None)


def _series_path(path: str) -> str:
    """The path of the series: v1.json and v2.json are states of a document that is named after their folder."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/" if folder and VERSION_NAME.fullmatch(name.removesuffix(".json")) else path


def _natural_key(file: str) -> list[tuple[int, str]]:
    """A sort key that puts v10 after v9."""
    parts = re.split(r"(\d+)", file)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
