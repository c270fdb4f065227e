"""Pairing: which documents are states of one dataset, and which pipeline, described by which info.json, made them.

A pipeline is a directory of a repository. Documents belong to the nearest directory upwards that has an info.json, in
whichever tree that lies, or files of code in a list of commits; without one they belong to the directory they lie in.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from resolvers.checks import COMMIT
from resolvers.ingest.catalogue_files import DOCUMENTS, FOLDERS, INFOS, LISTS, Document, Entry, Found, InfoFile, Reason
from resolvers.ingest.catalogue_repositories import Repositories, Repository, on_github
from resolvers.ingest.dates import instant
from resolvers.ingest.slugs import file_slug, slug

Place = tuple[str, str]
"""A repository's key and a path in it."""

NUMBERED = re.compile(r"v(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class State:
    """What a document was at some time. Time and commit are None where no list tells them.

    `listed` says that it has its place in a history; what has none is the present state.
    """

    document: Document
    listed: bool = False
    created: datetime | None = None
    commit: str | None = None


@dataclass
class Series:
    """One document over time, the present last: what becomes the versions of one dataset."""

    path: str
    states: list[State]
    dataset: str = ""


@dataclass
class Pipeline:
    """The code in one directory of a repository, with the documents that it made."""

    repository: Repository
    directory: str
    info: InfoFile | None = None
    source: list[dict[str, str]] = field(default_factory=list)
    """The last commits of its files, `{path, commit}`, the code first; empty when no list tells them."""
    series: list[Series] = field(default_factory=list)


@dataclass
class Paired:
    """Everything found, in its place."""

    pipelines: list[Pipeline]
    adjusted: list[Reason]
    refused: list[Reason]


def pair(found: Found) -> Paired:
    """The pipelines of a folder, by repository and directory, each with its documents in order."""
    pairing = _Pairing(found)
    pairing.add_pipelines()
    pairing.add_series()
    pipelines = [pipeline for _, pipeline in sorted(pairing.pipelines.items())]
    for pipeline in pipelines:
        pairing.adjusted += _name_datasets(pipeline)
    used = [pipeline for pipeline in pipelines if pipeline.info or pipeline.series]
    return Paired(used, pairing.adjusted, pairing.refused)


class _Pairing:
    def __init__(self, found: Found) -> None:
        self.adjusted: list[Reason] = []
        self.refused: list[Reason] = []
        self.pipelines: dict[Place, Pipeline] = {}
        self._found = found
        self._repositories = Repositories(found)
        self._series: dict[Place, tuple[Repository, Series]] = {}

    def add_pipelines(self) -> None:
        """A pipeline for each directory that a list of commits or an info.json names."""
        for entry in self._found.sources:
            repository, directory = on_github(str(entry["repo"])), str(entry["dir"]).strip("/")
            directory = "" if directory == "." else directory
            if repository and (source := _source(directory, entry["source"])):
                self._pipeline(repository, directory).source = source
        for file in sorted(self._found.infos, key=_plain_names_first):
            repository, path = self._repositories.locate(file)
            pipeline = self._pipeline(repository, path.rpartition("/")[0])
            if pipeline.info is None:
                pipeline.info = self._found.infos[file]
            else:
                reason = f"Its pipeline is described by {pipeline.info.file.rpartition('/')[2]} already."
                self.refused.append(Reason(INFOS, file, reason))

    def add_series(self) -> None:
        """Histories first, then what lies there without a time: that is the present state."""
        named = frozenset(self.pipelines)
        listed: set[str] = set()
        for index, entries in self._found.histories.items():
            listed |= self._add_history(index, entries)
        self._add_present(document for file, document in self._found.documents.items() if file not in listed)
        for repository, series in self._series.values():
            directory = _nearest(named, repository, series.path)
            self._pipeline(repository, directory).series.append(series)

    def _add_present(self, present: Iterable[Document]) -> None:
        assumed: dict[str, Repository] = {}
        for document in sorted(present, key=lambda one: _natural(one.file)):
            repository, path = self._repositories.locate(document.file)
            self._add_state(repository, _series_path(path), State(document))
            if repository.assumed:
                assumed[document.file.removesuffix(path).rstrip("/")] = repository
        for folder, repository in assumed.items():
            reason = f"It is taken to be {repository.url}, because the repositories beside it have that owner."
            self.adjusted.append(Reason(FOLDERS, folder, reason))

    def _add_history(self, index: str, entries: list[Entry]) -> set[str]:
        """The files of a history that are here."""
        placed = [(file, entry) for entry in entries if (file := _listed_file(self._found, index, entry))]
        if missing := len(entries) - len(placed):
            self.adjusted.append(Reason(LISTS, index, f"{missing:,} of its {len(entries):,} files are not here."))
        for file, entry in sorted(placed, key=lambda one: _natural(one[0])):
            repository = on_github(str(entry["repo"])) or Repository(str(entry["repo"]))
            commit = str(entry.get("commit"))
            known = commit if COMMIT.fullmatch(commit.lower()) else None
            state = State(self._found.documents[file], True, instant(str(entry.get("created"))), known)
            self._add_state(repository, str(entry["path"]), state)
        return {file for file, _ in placed}

    def _add_state(self, repository: Repository, path: str, state: State) -> None:
        place = (repository.key, path)
        if place not in self._series:
            self._series[place] = (repository, Series(path, []))
        self._series[place][1].states.append(state)

    def _pipeline(self, repository: Repository, directory: str) -> Pipeline:
        return self.pipelines.setdefault((repository.key, directory), Pipeline(repository, directory))


def _nearest(named: frozenset[Place], repository: Repository, path: str) -> str:
    """The nearest directory upwards from a path that is known to be a pipeline's, else the one that it lies in."""
    own = directory = path.rpartition("/")[0]
    while (repository.key, directory) not in named:
        if not directory:
            return own
        directory = directory.rpartition("/")[0]
    return directory


def _source(directory: str, commits: Any) -> list[dict[str, str]]:
    """The files of a pipeline with their commits: code before descriptions."""
    known = commits.items() if isinstance(commits, dict) else ()
    files = [(str(name), str(commit)) for name, commit in known if COMMIT.fullmatch(str(commit).lower())]
    files.sort(key=lambda file: (not file[0].endswith(".py"), file[0] != "info.json", file[0]))
    return [{"path": f"{directory}/{name}".lstrip("/"), "commit": commit} for name, commit in files]


def _listed_file(found: Found, index: str, entry: Entry) -> str | None:
    """The document that an entry names, with a path from the index's folder or from further up."""
    folder = index.rpartition("/")[0]
    parts = str(entry["file"]).split("/")
    candidates = ("/".join(parts[start:]) for start in range(len(parts)))
    paths = (f"{folder}/{candidate}".lstrip("/") for candidate in candidates)
    return next((path for path in paths if path in found.documents), None)


def _series_path(path: str) -> str:
    """Files such as v1.json and v2.json are states of the document that their folder stands for."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/" if folder and NUMBERED.fullmatch(name.removesuffix(".json")) else path


def _name_datasets(pipeline: Pipeline) -> Iterable[Reason]:
    """Give each series what all its documents say, else the name of their file; tell apart those of one name."""
    by_name: dict[str, list[Series]] = defaultdict(list)
    for series in pipeline.series:
        said = {state.document.csvw.identifier for state in series.states}
        own = said.pop() if len(said) == 1 else None
        series.dataset = own or file_slug(series.path.rstrip("/")) or "dataset"
        by_name[series.dataset].append(series)
    for name, sharing in by_name.items():
        if len(sharing) > 1:
            yield from _told_apart(pipeline, name, sharing)


def _told_apart(pipeline: Pipeline, name: str, sharing: list[Series]) -> Iterable[Reason]:
    """All of them get the name of where they lie, so that none inherits the versions of another."""
    for series in sharing:
        path = series.path.removeprefix(pipeline.directory).strip("/")
        series.dataset = slug(re.sub(r"(\.csv-metadata)?\.json$", "", path)) or name
    names = [series.dataset for series in sharing]
    for number, series in enumerate(sharing):
        if names.count(names[number]) > 1:
            series.dataset = f"{series.dataset}-{number + 1}"
        reason = f"Its dataset is called {series.dataset}: {len(sharing)} documents of its pipeline are named {name}."
        yield Reason(DOCUMENTS, series.states[-1].document.file, reason)


def _natural(file: str) -> list[tuple[int, str]]:
    """A key that puts v10 after v9."""
    parts = re.split(r"(\d+)", file)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _plain_names_first(file: str) -> tuple[str, bool, str]:
    folder, _, name = file.rpartition("/")
    return folder, name.lower() != "info.json", name
