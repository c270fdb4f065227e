"""The destination of each document: the dataset with the document or an earlier state of it, else a new one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from urllib.parse import unquote

from documents.catalogue.dataset import Subject
from resolvers.formats.csvw_subject import are_different_datasets, longer_names
from resolvers.formats.slugs import document_slug, encoded_file_slug, file_slug
from resolvers.imports.catalogue.existing import ExistingDataset, ExistingResource
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.catalogue.pairing import Pipeline, Series
from resolvers.imports.folder import DOCUMENTS, Reason


@dataclass(frozen=True)
class Destination:
    """The dataset for a series, and its resource; without one, the identity's natural keys find or create it."""

    name: str
    subject: Subject
    resource: ExistingResource | None = None
    dataset: ExistingDataset | None = None
    """None for a new dataset."""

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of the dataset's versions, from first to last."""
        return self.dataset.digests if self.dataset else []

    @property
    def newest_at(self) -> datetime | None:
        """The publication time of the newest version."""
        return self.dataset.newest_at if self.dataset else None


class Destinations:
    """Finds the destination of every series; no two series share a dataset.

    The first candidates are datasets that have a state of the series among their versions, then datasets of its name
    that do not describe something else. Both are searched in the identity's own resource, then in others of its
    pipeline, which were made under another publisher or page. Documents outside of repositories are also recognised by
    their bytes alone, because their path may have changed. The remaining series get new datasets.
    """

    def __init__(self, identities: list[Identity], existing: list[ExistingResource]) -> None:
        self.decisions: list[Reason] = []
        self._pipeline_resources = _resources_by_identity(identities, existing)
        self._own_resources = {
            identity: [resource for resource in resources if resource.is_of(identity)]
            for identity, resources in self._pipeline_resources.items()
        }
        of_pipelines = {resource for resources in self._pipeline_resources.values() for resource in resources}
        self._resources_outside_repositories = [
            resource for resource in existing if resource not in of_pipelines and resource.has_no_repository
        ]
        self._destinations: dict[Series, Destination] = {}
        self._info_resources: dict[Identity, ExistingResource] = {}
        self._assigned: set[str] = set()
        self._names: dict[object, set[str]] = defaultdict(set)
        """The names of new datasets, by their resource."""
        for assign in (
            self._match_in_own_resources,
            self._match_in_pipeline,
            self._match_moved_documents,
            self._match_names,
            self._assign_new,
        ):
            for identity in identities:
                assign(identity)
        self._assign_info_resources(identities)

    def of(self, series: Series) -> Destination:
        """The destination of a series."""
        return self._destinations[series]

    def resource(self, identity: Identity) -> ExistingResource | None:
        """The resource for the identity's info.json, its own alone; None if it has yet to be created."""
        return self._info_resources.get(identity)

    def _assign_info_resources(self, identities: list[Identity]) -> None:
        """Give each identity a resource: its own, else one of its pipeline, else one that holds its documents."""
        main = [identity for identity in identities if identity.counts_info]
        used: set[ExistingResource] = set()
        for group, resources_of in (
            (identities, self._own_resources.get),
            (main, self._of_pipeline),
            (main, self._resources_of_documents),
        ):
            for identity in group:
                free = [resource for resource in resources_of(identity) or () if resource not in used]
                if free and identity not in self._info_resources:
                    self._info_resources[identity] = free[0]
                    used.add(free[0])

    def _of_pipeline(self, identity: Identity) -> list[ExistingResource]:
        return [resource for resource in self._pipeline_resources[identity] if resource.is_of_pipeline(identity)]

    def _unmatched_series(self, identity: Identity) -> list[Series]:
        return [series for series in identity.series if series not in self._destinations]

    def _match_in_own_resources(self, identity: Identity) -> None:
        self._match_contents(identity, self._own_resources[identity])

    def _match_in_pipeline(self, identity: Identity) -> None:
        self._match_contents(identity, self._pipeline_resources[identity])

    def _match_moved_documents(self, identity: Identity) -> None:
        """Match documents outside of repositories, which may have been published from another path before."""
        if identity.pipeline.repository.url is None and identity.pipeline.info is None:
            self._match_contents(identity, self._resources_outside_repositories)

    def _match_contents(self, identity: Identity, resources: list[ExistingResource]) -> None:
        """Assign the datasets that have states of a series among their versions, most likely first."""
        by_digest: dict[str, list[Series]] = defaultdict(list)
        for series in self._unmatched_series(identity):
            for digest in series.digests:
                by_digest[digest].append(series)
        pairs = [
            (_match_score(identity.pipeline, series, dataset), series, dataset, resource)
            for resource in resources
            for dataset in resource.datasets
            for series in dict.fromkeys(match for digest in dataset.digests for match in by_digest.get(digest, ()))
        ]
        for _, series, dataset, resource in sorted(pairs, key=lambda pair: pair[0], reverse=True):
            if series not in self._destinations and dataset.id not in self._assigned:
                self._assign(identity, series, dataset, resource)

    def _match_names(self, identity: Identity) -> None:
        for series in self._unmatched_series(identity):
            match = next(self._candidates_by_name(identity, series), None)
            if match:
                self._assign(identity, series, *match)

    def _candidates_by_name(
        self, identity: Identity, series: Series
    ) -> Iterator[tuple[ExistingDataset, ExistingResource]]:
        """The datasets of documents at the path of a series, then the datasets of its names; most likely first."""
        subject, usual = _subject(identity.pipeline, series), _usual_name(series)
        names = _names(identity.pipeline, series)
        for resource in dict.fromkeys([*self._pipeline_resources[identity], *self._resources_of_documents(identity)]):
            at_path = [
                dataset for dataset in resource.datasets if subject.document == dataset.subject.document is not None
            ]
            by_name = [dataset for dataset in resource.datasets if dataset.identifier in names]
            for dataset in (*at_path, *sorted(by_name, key=lambda dataset: names.index(dataset.identifier))):
                if dataset.id not in self._assigned and not are_different_datasets(dataset.subject, subject, usual):
                    yield dataset, resource

    def _assign(self, identity: Identity, series: Series, dataset: ExistingDataset, resource: ExistingResource) -> None:
        self._assigned.add(dataset.id)
        subject = _subject(identity.pipeline, series)
        self._destinations[series] = Destination(dataset.identifier, subject, resource, dataset)
        if resource.organisation_url != identity.organisation.url and not identity.organisation.assumed:
            reason = (
                f"It stays with {resource.organisation_url}, who published it first, not {identity.organisation.url}."
            )
            self.decisions.append(Reason(DOCUMENTS, series.present.file, reason))

    def _assign_new(self, identity: Identity) -> None:
        """Assign new datasets to the remaining series. Several that share a name are all named after their paths."""
        home = self._home(identity)
        used = self._names[home.id if home else identity.key]
        used |= {dataset.identifier for dataset in home.datasets} if home else set()
        unmatched = self._unmatched_series(identity)
        sharing = Counter(map(_usual_name, unmatched))
        for series in unmatched:
            usual = name = _usual_name(series)
            if sharing[usual] > 1 or usual in used:
                candidates = _longer_names(identity.pipeline, series)
                name = next(candidate for candidate in candidates if candidate not in used)
                namesakes = f"{max(sharing[usual], 2)} documents of its pipeline are named {usual}"
                reason = f"Its dataset is called {name}: {namesakes}."
                self.decisions.append(Reason(DOCUMENTS, series.present.file, reason))
            used.add(name)
            self._destinations[series] = Destination(name, _subject(identity.pipeline, series), home)

    def _home(self, identity: Identity) -> ExistingResource | None:
        """The resource for new datasets: the identity's own, else one that holds other documents of it."""
        others = self._resources_of_documents(identity)
        candidates = self._own_resources[identity] or [
            other for other in others if other.accepts_new_documents_of(identity)
        ]
        return candidates[0] if candidates else None

    def _resources_of_documents(self, identity: Identity) -> list[ExistingResource]:
        """The resources of the datasets that are assigned to an identity's series."""
        destinations = (self._destinations[series] for series in identity.series if series in self._destinations)
        return [destination.resource for destination in destinations if destination.resource]


def _resources_by_identity(
    identities: list[Identity], existing: list[ExistingResource]
) -> dict[Identity, list[ExistingResource]]:
    """The resources of each identity's pipeline, its own ones first, then others of the same directory."""
    of_repository: dict[str | None, list[ExistingResource]] = defaultdict(list)
    for resource in existing:
        of_repository[resource.code.url].append(resource)
    own = {
        identity: [
            resource
            for resource in of_repository[identity.pipeline.repository.url]
            if resource.is_of_pipeline(identity)
        ]
        for identity in identities
    }
    in_directory: dict[tuple[str, str], list[ExistingResource]] = defaultdict(list)
    for identity, resources in own.items():
        in_directory[_directory(identity)] += resources
    return {
        identity: list(
            dict.fromkeys([*sorted(resources, key=_distance_key(identity)), *in_directory[_directory(identity)]])
        )
        for identity, resources in own.items()
    }


def _directory(identity: Identity) -> tuple[str, str]:
    return identity.pipeline.repository.key, identity.pipeline.directory


def _distance_key(identity: Identity) -> Callable[[ExistingResource], tuple[bool, bool]]:
    return lambda resource: (not resource.is_of(identity), resource.organisation_url != identity.organisation.url)


def _match_score(pipeline: Pipeline, series: Series, dataset: ExistingDataset) -> tuple[bool, bool, bool, int]:
    """A sort key for how likely a dataset belongs to a series: by path, name, newest version, number of versions."""
    return (
        dataset.subject.document == _relative_path(pipeline, series),
        dataset.identifier in _names(pipeline, series),
        dataset.digests[-1] in series.digests,
        len(series.digests.intersection(dataset.digests)),
    )


def _subject(pipeline: Pipeline, series: Series) -> Subject:
    """The facts that distinguish the dataset of a series from its namesakes, among them the path unless it names it."""
    csvw = series.present.csvw
    return (
        csvw.subject
        if csvw.has_own_identifier
        else csvw.subject.model_copy(update={"document": _relative_path(pipeline, series)})
    )


def _relative_path(pipeline: Pipeline, series: Series) -> str:
    """The path of a series in its pipeline's directory, without percent-encoding."""
    return unquote(series.path.removeprefix(pipeline.directory).strip("/"))


def _names(pipeline: Pipeline, series: Series) -> list[str]:
    """The names that any release may have given the dataset, the usual one first."""
    former = {state.document.csvw.former_identifier for state in series.states}
    former_name = former.pop() if len(former) == 1 else None
    file = encoded_file_slug(series.path.rstrip("/"))
    return list(dict.fromkeys([_usual_name(series), former_name or file, _path_name(pipeline, series)]))


def _usual_name(series: Series) -> str:
    """The name that all documents of a series give their dataset, else the name of their file."""
    identifiers = {state.document.csvw.identifier for state in series.states}
    own = identifiers.pop() if len(identifiers) == 1 else None
    return own or file_slug(series.path.rstrip("/")) or "dataset"


def _path_name(pipeline: Pipeline, series: Series) -> str:
    return document_slug(_relative_path(pipeline, series)) or _usual_name(series)


def _longer_names(pipeline: Pipeline, series: Series) -> Iterator[str]:
    """Alternatives for a usual name that is taken: with the document's folder, with its content, with a number."""
    usual, path = _usual_name(series), _path_name(pipeline, series)
    if "/" in _relative_path(pipeline, series):
        yield path
    yield from longer_names(usual, _subject(pipeline, series))
    yield from (f"{path}-{number}" for number in count(2))
