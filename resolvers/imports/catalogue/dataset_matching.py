"""The destination of each document: the dataset that has it or an earlier state of it, else a new one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from urllib.parse import unquote

from documents.catalogue.dataset import Subject
from resolvers.formats.csvw_subject import are_different_datasets, longer_names
from resolvers.formats.slugs import document_slug, encoded_file_slug, file_slug
from resolvers.imports.catalogue.existing import KnownDataset, KnownResource
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.catalogue.pairing import Pipeline, Series
from resolvers.imports.folder import DOCUMENTS, Reason


@dataclass(frozen=True)
class Place:
    """The destination of a series. Without a resource, the one that the identity's keys find or create."""

    name: str
    subject: Subject
    resource: KnownResource | None = None
    dataset: KnownDataset | None = None
    """None where it is a new one."""

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of the versions that the dataset has, from first to last."""
        return self.dataset.digests if self.dataset else []

    @property
    def newest_at(self) -> datetime | None:
        """The publication time of the newest version."""
        return self.dataset.newest_at if self.dataset else None


class Places:
    """Finds the place of every series; no dataset is the place of two.

    Candidates are first datasets that have a state of the series among their versions, then those of its name that are
    not about something else. Both are searched in the identity's own resource, then in others of its pipeline, which
    were made under another publisher or page. Documents outside of repositories are also recognised by their bytes
    alone, because their path may have changed. Remaining series get new datasets.
    """

    def __init__(self, identities: list[Identity], known: list[KnownResource]) -> None:
        self.decided: list[Reason] = []
        self._pipelines = _of_pipelines(identities, known)
        self._own = {one: [it for it in resources if it.is_of(one)] for one, resources in self._pipelines.items()}
        met = {one for resources in self._pipelines.values() for one in resources}
        self._others = [one for one in known if one not in met and one.is_of_no_repository]
        self._places: dict[Series, Place] = {}
        self._described: dict[Identity, KnownResource] = {}
        self._taken: set[str] = set()
        self._names: dict[object, set[str]] = defaultdict(set)
        """The names of new datasets, by their resource."""
        for find in (self._in_own, self._in_pipeline, self._elsewhere, self._by_name, self._new):
            for identity in identities:
                find(identity)
        self._describe(identities)

    def place(self, series: Series) -> Place:
        """The destination of a series."""
        return self._places[series]

    def resource(self, identity: Identity) -> KnownResource | None:
        """The resource that holds this identity's info.json, and no other's; None where it is yet to be created."""
        return self._described.get(identity)

    def _describe(self, identities: list[Identity]) -> None:
        """Assign resources to identities: an identity's own, else one of its pipeline, else one that its documents are
        in."""
        main = [identity for identity in identities if identity.counts_info]
        shared: set[KnownResource] = set()
        for some, among in ((identities, self._own.get), (main, self._of_pipeline), (main, self._lying)):
            for identity in some:
                free = [one for one in among(identity) or () if one not in shared]
                if free and identity not in self._described:
                    self._described[identity] = free[0]
                    shared.add(free[0])

    def _of_pipeline(self, identity: Identity) -> list[KnownResource]:
        return [one for one in self._pipelines[identity] if one.is_of_pipeline(identity)]

    def _waiting(self, identity: Identity) -> list[Series]:
        return [series for series in identity.series if series not in self._places]

    def _in_own(self, identity: Identity) -> None:
        self._by_bytes(identity, self._own[identity])

    def _in_pipeline(self, identity: Identity) -> None:
        self._by_bytes(identity, self._pipelines[identity])

    def _elsewhere(self, identity: Identity) -> None:
        """Search where a document outside of repositories may have been published from another path."""
        if identity.pipeline.repository.url is None and identity.pipeline.info is None:
            self._by_bytes(identity, self._others)

    def _by_bytes(self, identity: Identity, resources: list[KnownResource]) -> None:
        """Assign the datasets that have states of a series, most likely first."""
        waiting: dict[str, list[Series]] = defaultdict(list)
        for series in self._waiting(identity):
            for digest in series.digests:
                waiting[digest].append(series)
        pairs = [
            (_likeness(identity.pipeline, series, dataset), series, dataset, resource)
            for resource in resources
            for dataset in resource.datasets
            for series in dict.fromkeys(one for digest in dataset.digests for one in waiting.get(digest, ()))
        ]
        for _, series, dataset, resource in sorted(pairs, key=lambda pair: pair[0], reverse=True):
            if series not in self._places and dataset.id not in self._taken:
                self._take(identity, series, dataset, resource)

    def _by_name(self, identity: Identity) -> None:
        for series in self._waiting(identity):
            found = next(self._named(identity, series), None)
            if found:
                self._take(identity, series, *found)

    def _named(self, identity: Identity, series: Series) -> Iterator[tuple[KnownDataset, KnownResource]]:
        """The datasets of documents at the path of a series, and then those of its names; most likely first."""
        subject, usual = _subject(identity.pipeline, series), _usual_name(series)
        names = _names(identity.pipeline, series)
        for resource in dict.fromkeys([*self._pipelines[identity], *self._lying(identity)]):
            there = [one for one in resource.datasets if subject.document == one.subject.document is not None]
            named = [one for one in resource.datasets if one.identifier in names]
            for one in (*there, *sorted(named, key=lambda one: names.index(one.identifier))):
                if one.id not in self._taken and not are_different_datasets(one.subject, subject, usual):
                    yield one, resource

    def _take(self, identity: Identity, series: Series, dataset: KnownDataset, resource: KnownResource) -> None:
        self._taken.add(dataset.id)
        subject = _subject(identity.pipeline, series)
        self._places[series] = Place(dataset.identifier, subject, resource, dataset)
        if resource.organisation_url != identity.organisation.url and not identity.organisation.assumed:
            reason = (
                f"It stays with {resource.organisation_url}, who published it first, not {identity.organisation.url}."
            )
            self.decided.append(Reason(DOCUMENTS, series.present.file, reason))

    def _new(self, identity: Identity) -> None:
        """Assign new datasets to the remaining series. Several of one name are all named after their paths."""
        home = self._home(identity)
        used = self._names[home.id if home else identity.key]
        used |= {dataset.identifier for dataset in home.datasets} if home else set()
        waiting = self._waiting(identity)
        sharing = Counter(map(_usual_name, waiting))
        for series in waiting:
            usual = name = _usual_name(series)
            if sharing[usual] > 1 or usual in used:
                name = next(one for one in _longer_names(identity.pipeline, series) if one not in used)
                others = f"{max(sharing[usual], 2)} documents of its pipeline are named {usual}"
                self.decided.append(Reason(DOCUMENTS, series.present.file, f"Its dataset is called {name}: {others}."))
            used.add(name)
            self._places[series] = Place(name, _subject(identity.pipeline, series), home)

    def _home(self, identity: Identity) -> KnownResource | None:
        """The resource for new datasets: the identity's own, else one that it has been assigned."""
        if own := self._own[identity]:
            return own[0]
        return next((one for one in self._lying(identity) if one.may_become_of(identity)), None)

    def _lying(self, identity: Identity) -> list[KnownResource]:
        """The resources that contain documents of an identity."""
        places = (self._places[series] for series in identity.series if series in self._places)
        return [place.resource for place in places if place.resource]


def _of_pipelines(identities: list[Identity], known: list[KnownResource]) -> dict[Identity, list[KnownResource]]:
    """The resources of each identity's pipeline, its own first, followed by others of the directory."""
    of_repository: dict[str | None, list[KnownResource]] = defaultdict(list)
    for resource in known:
        of_repository[resource.code.url].append(resource)
    own = {
        identity: [one for one in of_repository[identity.pipeline.repository.url] if one.is_of_pipeline(identity)]
        for identity in identities
    }
    in_directory: dict[tuple[str, str], list[KnownResource]] = defaultdict(list)
    for identity, resources in own.items():
        in_directory[_directory(identity)] += resources
    return {
        identity: list(
            dict.fromkeys([*sorted(resources, key=_nearness(identity)), *in_directory[_directory(identity)]])
        )
        for identity, resources in own.items()
    }


def _directory(identity: Identity) -> tuple[str, str]:
    return identity.pipeline.repository.key, identity.pipeline.directory


def _nearness(identity: Identity) -> Callable[[KnownResource], tuple[bool, bool]]:
    return lambda one: (not one.is_of(identity), one.organisation_url != identity.organisation.url)


def _likeness(pipeline: Pipeline, series: Series, dataset: KnownDataset) -> tuple[bool, bool, bool, int]:
    """The likelihood that a dataset belongs to a series: by path, name, newest version, versions."""
    return (
        dataset.subject.document == _inside(pipeline, series),
        dataset.identifier in _names(pipeline, series),
        dataset.digests[-1] in series.digests,
        len(series.digests.intersection(dataset.digests)),
    )


def _subject(pipeline: Pipeline, series: Series) -> Subject:
    """The facts that distinguish the dataset of a series from others; where the document names it, the name alone."""
    said = series.present.csvw
    return (
        said.subject
        if said.has_own_identifier
        else said.subject.model_copy(update={"document": _inside(pipeline, series)})
    )


def _inside(pipeline: Pipeline, series: Series) -> str:
    """The path of a series in its pipeline's directory, without percent-encoding."""
    return unquote(series.path.removeprefix(pipeline.directory).strip("/"))


def _names(pipeline: Pipeline, series: Series) -> list[str]:
    """The names under which a dataset may have been made, the usual one first."""
    former = {state.document.csvw.former_identifier for state in series.states}
    said = former.pop() if len(former) == 1 else None
    file = encoded_file_slug(series.path.rstrip("/"))
    return list(dict.fromkeys([_usual_name(series), said or file, _path_name(pipeline, series)]))


def _usual_name(series: Series) -> str:
    """The name that all documents of a series give their dataset, else the name of their file."""
    said = {state.document.csvw.identifier for state in series.states}
    own = said.pop() if len(said) == 1 else None
    return own or file_slug(series.path.rstrip("/")) or "dataset"


def _path_name(pipeline: Pipeline, series: Series) -> str:
    return document_slug(_inside(pipeline, series)) or _usual_name(series)


def _longer_names(pipeline: Pipeline, series: Series) -> Iterator[str]:
    """Names for a dataset whose usual one is taken: by its document's folder, by its content, by number."""
    usual, path = _usual_name(series), _path_name(pipeline, series)
    if "/" in _inside(pipeline, series):
        yield path
    yield from longer_names(usual, _subject(pipeline, series))
    yield from (f"{path}-{number}" for number in count(2))
