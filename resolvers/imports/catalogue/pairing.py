"""Matching: which documents are states of one dataset, and which pipeline, described by which info.json, made them.

A pipeline is a directory of a repository; each `x-info.json` there describes a further one. Documents belong to the
nearest directory upwards that has an info.json, in whichever tree, or files of code in a list of commits; without one
they belong to their own directory. Where that holds several pipelines, a document belongs to the one of its name.
"""

import re
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from resolvers.formats.dates import instant
from resolvers.formats.slugs import file_slug, slug
from resolvers.imports.catalogue.files import Document, Entry, Found, InfoFile
from resolvers.imports.catalogue.git_history import Told, Tracked, code_at
from resolvers.imports.catalogue.repositories import Repositories, Repository, listed
from resolvers.imports.folder import FOLDERS, INFOS, LISTS, TOP, Reason
from resolvers.imports.git_checkout.commits import Commits
from resolvers.imports.git_checkout.remote import without_secrets
from resolvers.validators import COMMIT

Place = tuple[str, str]
"""A repository's key and a path in it."""

INFO_NAME = re.compile(r"-?info\.json$", re.IGNORECASE)
NUMBERED = re.compile(r"v(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class State:
    """A state of a document at some time. Time and commit are None where no list has them.

    `listed` says that it has its place in a history; a state without one is the present one.
    """

    document: Document
    listed: bool = False
    created: datetime | None = None
    commit: str | None = None


@dataclass(eq=False)
class Series:
    """One document over time, the present state last: the future versions of one dataset."""

    path: str
    states: list[State]

    @property
    def present(self) -> Document:
        """The last state."""
        return self.states[-1].document

    @cached_property
    def digests(self) -> frozenset[str]:
        """The SHA-256 of each state."""
        return frozenset(state.document.csvw.sha256 for state in self.states)


@dataclass
class Pipeline:
    """The code in one directory of a repository, with the documents that it made."""

    repository: Repository
    directory: str
    name: str = ""
    """The pipeline's name within its directory: `x` of `x-info.json`, empty for info.json."""
    info: InfoFile | None = None
    source: list[dict[str, str]] = field(default_factory=list)
    """The last commits of its files, `{path, commit}`, the code first; empty when no list tells them."""
    series: list[Series] = field(default_factory=list)
    commits: Commits | None = None
    """The commits of the checkout that contains it."""

    @property
    def info_name(self) -> str | None:
        """The name of the file that describes it."""
        return self.info.file.rpartition("/")[2] if self.info else None

    def code_at(self, commit: str | None = None) -> list[dict[str, str]]:
        """Its files at a commit, or now, `{path, commit}`; empty where no checkout contains them."""
        return code_at(self.commits, self.directory, self.info_name, commit) if self.commits else []


@dataclass
class Paired:
    """All files found, matched."""

    pipelines: list[Pipeline]
    adjusted: list[Reason]
    refused: list[Reason]


def pair(found: Found, told: Told) -> Paired:
    """The pipelines of a folder, by repository and directory, each with its documents in order and git history."""
    pairing = _Pairing(found, told)
    pairing.add_pipelines()
    pairing.add_series()
    pairing.add_code()
    pipelines = [pipeline for _, pipeline in sorted(pairing.pipelines.items())]
    used = [pipeline for pipeline in pipelines if pipeline.info or pipeline.series]
    return Paired(used, pairing.adjusted, pairing.refused)


class _Pairing:
    def __init__(self, found: Found, told: Told) -> None:
        self.adjusted: list[Reason] = []
        self.refused: list[Reason] = []
        self.pipelines: dict[tuple[str, str, str], Pipeline] = {}
        self._found = found
        self._told = told
        self._repositories = Repositories(found)
        self._series: dict[Place, tuple[Repository, Series]] = {}

    def add_pipelines(self) -> None:
        """A pipeline for each directory that a list of commits or an info.json names."""
        for entry in self._found.sources:
            repository, directory = listed(str(entry["repo"])), str(entry["dir"]).strip("/")
            directory = "" if directory == "." else directory
            if repository and (source := _source(directory, entry["source"])):
                self._pipeline(repository, directory).source = source
        for file in sorted(self._found.infos):
            repository, path = self._repositories.locate(file)
            directory, _, name = path.rpartition("/")
            pipeline = self._pipeline(repository, directory, INFO_NAME.sub("", name))
            if pipeline.info is None:
                pipeline.info = self._found.infos[file]
            else:
                self.refused.append(Reason(INFOS, file, f"Its pipeline is described by {pipeline.info.file} already."))

    def add_series(self) -> None:
        """Add histories first, then documents without a time: these are present states."""
        states: set[str] = set()
        for index, entries in self._found.histories.items():
            states |= self._add_history(index, entries)
        self._add_present(document for file, document in self._found.documents.items() if file not in states)
        known: dict[Place, list[Pipeline]] = defaultdict(list)
        for (key, directory, _), pipeline in sorted(self.pipelines.items()):
            known[key, directory].append(pipeline)
        for repository, series in self._series.values():
            directory = _nearest(known, repository, series.path)
            maker = _maker(known.get((repository.key, directory), []), series)
            (maker or self._pipeline(repository, directory)).series.append(series)

    def _add_present(self, present: Iterable[Document]) -> None:
        assumed: dict[str, Repository] = {}
        for document in sorted(present, key=lambda one: _natural(one.file)):
            repository, path = self._repositories.locate(document.file)
            self._add_states(repository, path, document)
            if repository.assumed:
                assumed[document.file.removesuffix(path).rstrip("/")] = repository
        for folder, repository in assumed.items():
            reason = f"It is taken to be {repository.url}, because the repositories beside it have that owner."
            self.adjusted.append(Reason(FOLDERS, folder or TOP, reason))

    def _add_states(self, repository: Repository, path: str, document: Document) -> None:
        """Add the present state, after its earlier states in git, unless a list has them already."""
        tracked = self._told.tracked.get(document.file, Tracked())
        series = _series_path(path)
        is_history = bool(tracked.earlier) and series == path and (repository.key, series) not in self._series
        for one in tracked.earlier if is_history else ():
            self._add_state(repository, path, State(one.document, True, one.created, one.commit))
        has_place = is_history and tracked.commit is not None
        self._add_state(repository, series, State(document, has_place, tracked.created, tracked.commit))

    def add_code(self) -> None:
        """Add the files of pipelines in checkouts, where no list has them."""
        for pipeline in self.pipelines.values():
            files = [series.states[-1].document.file for series in pipeline.series]
            lying = map(self._told.commits_of, [*([pipeline.info.file] if pipeline.info else []), *files])
            pipeline.commits = next((commits for commits in lying if commits), None)
            plain = self.pipelines.get((pipeline.repository.key, pipeline.directory, ""), pipeline)
            pipeline.source = pipeline.source or plain.source or pipeline.code_at()

    def _add_history(self, index: str, entries: list[Entry]) -> set[str]:
        """Add the files of a history that exist in the folder."""
        placed = [(file, entry) for entry in entries if (file := _listed_file(self._found, index, entry))]
        if missing := len(entries) - len(placed):
            self.adjusted.append(Reason(LISTS, index, f"{missing:,} of its {len(entries):,} files are not here."))
        for file, entry in sorted(placed, key=lambda one: _natural(one[0])):
            repository = listed(str(entry["repo"])) or Repository(without_secrets(str(entry["repo"])))
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

    def _pipeline(self, repository: Repository, directory: str, name: str = "") -> Pipeline:
        return self.pipelines.setdefault((repository.key, directory, name), Pipeline(repository, directory, name))


def _maker(pipelines: list[Pipeline], series: Series) -> Pipeline | None:
    """The pipeline in a directory that made a document: by name, else the unnamed one, else the first."""
    names = {file_slug(series.path.rstrip("/")), series.present.csvw.identifier}
    alike = [one for one in pipelines if one.name and slug(one.name) in names]
    return next(iter([*alike, *(one for one in pipelines if one.info), *pipelines]), None)


def _nearest(named: Container[Place], repository: Repository, path: str) -> str:
    """The nearest directory upwards from a path that is known as a pipeline's, else the path's own."""
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
    """The path of the series: files such as v1.json and v2.json are states of the document named by their folder."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/" if folder and NUMBERED.fullmatch(name.removesuffix(".json")) else path


def _natural(file: str) -> list[tuple[int, str]]:
    """A sort key that puts v10 after v9."""
    parts = re.split(r"(\d+)", file)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
