"""Identities: the publishers, pages and titles by which resources of pipelines are recognised."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import commonpath

from resolvers.file_events.code_repo import CodeRepoValues, SourceFileValues
from resolvers.formats.agent import Agent, address_in
from resolvers.imports.catalogue.pairing import Pipeline, Series
from resolvers.imports.catalogue.publishers import (
    Organisation,
    Titles,
    assumed_organisation,
    organisation_of,
    single_line,
)
from resolvers.imports.folder import DOCUMENTS, FOLDERS, INFOS, TOP, Reason
from resolvers.user_errors import InvalidInput
from resolvers.validators import MAX_URL_LENGTH

UNKNOWN_ORIGIN = "Documents of unknown origin"


@dataclass(eq=False)
class Identity:
    """The natural keys of an organisation, and of the resource for its documents from a pipeline."""

    pipeline: Pipeline
    organisation: Organisation
    landing_page: str
    title: str
    former_titles: tuple[str, ...]
    """Titles that earlier releases gave the resource: without an addition, or after the imported folder."""
    series: list[Series] = field(default_factory=list)
    counts_info: bool = False
    """Whether the pipeline's info.json is counted with this identity. Its other identities store it as well."""
    default_organisation: Organisation | None = None
    """The publisher of the pipeline's documents that name none."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key that distinguishes identities, apart from the directory of their code."""
        return self.organisation.url, self.landing_page, self.pipeline.repository.key, self.title

    def code_repo(self, source: list[SourceFileValues]) -> CodeRepoValues:
        """The pipeline's repository as the input of a report."""
        repository = self.pipeline.repository
        name = self.pipeline.name or None
        return {"provider": repository.provider, "url": repository.url, "pipeline": name, "source": source}


def identify(pipelines: list[Pipeline]) -> tuple[list[Identity], list[Reason]]:
    """The distinct identities of the pipelines, and the decisions made for them.

    A document's publisher is the one that it names, else the one that its info.json names, else the owner of the
    repository, which is an assumption. Its landing page is the first one of its info.json, else its own, else the
    directory in the repository.
    """
    finder = _IdentityFinder(pipelines)
    identities = [identity for pipeline in pipelines for identity in finder.identities(pipeline)]
    return identities, [*finder.decisions, *_distinguish_titles(identities)]


class _IdentityFinder:
    def __init__(self, pipelines: list[Pipeline]) -> None:
        self.decisions: list[Reason] = []
        described = [pipeline.info.info.title for pipeline in pipelines if pipeline.info]
        titles = (series.present.csvw.title for pipeline in pipelines for series in pipeline.series)
        self._titles = Titles([*described, *titles])

    def identities(self, pipeline: Pipeline) -> list[Identity]:
        """An identity for each publisher and page of a pipeline's documents; a single one if it has no documents."""
        default = self._default_organisation(pipeline)
        by_key: dict[tuple[str, str], Identity] = {}
        for series in pipeline.series:
            organisation = self._own_publisher(series) or default
            page = _page(pipeline, series)
            by_key.setdefault((organisation.url, page), _identity(pipeline, organisation, page)).series.append(series)
        if not by_key:
            page = _page(pipeline, None)
            by_key[default.url, page] = _identity(pipeline, default, page)
        identities = list(by_key.values())
        main = next((identity for identity in identities if identity.organisation.url == default.url), identities[0])
        main.counts_info, main.default_organisation = pipeline.info is not None, default
        # For a described pipeline the missing publisher is noted once, on its info.json.
        self.decisions += () if pipeline.info else _assumptions(identities)
        return identities

    def _default_organisation(self, pipeline: Pipeline) -> Organisation:
        """The publisher of documents that name none."""
        assumed = assumed_organisation(pipeline.repository)
        if pipeline.info is None:
            return assumed
        info, file = pipeline.info.info, pipeline.info.file
        consequence = f"{assumed.url} is assumed"
        if len(info.landing_pages) > 1:
            reason = f"The first of its {len(info.landing_pages)} landing pages is taken: {info.landing_pages[0]}."
            self.decisions.append(Reason(INFOS, file, reason))
        if not info.landing_pages:
            page = _page(pipeline, None)
            self.decisions.append(Reason(INFOS, file, f"It names no landing page; {page} is taken."))
        if not info.publisher:
            self.decisions.append(Reason(INFOS, file, f"It names no publisher; {consequence}."))
            return assumed
        name = None if info.publisher == info.publisher_address else info.publisher
        return self._first_organisation([Agent(name, info.publisher_address)], INFOS, file, consequence) or assumed

    def _own_publisher(self, series: Series) -> Organisation | None:
        """The publisher that a document names."""
        document = series.present
        return self._first_organisation(document.csvw.publishers, DOCUMENTS, document.file, "it is left out")

    def _first_organisation(self, agents: list[Agent], kind: str, file: str, otherwise: str) -> Organisation | None:
        """The first agent that can be a publisher. The decision on each earlier one says why it cannot."""
        for agent in agents:
            try:
                return organisation_of(agent, self._titles)
            except InvalidInput as error:
                publisher = (agent.name or agent.address or "")[:100]
                reason = f"“{publisher}” is not a publisher, because {error.message}; {otherwise}."
                self.decisions.append(Reason(kind, file, reason))
        return None


def _page(pipeline: Pipeline, series: Series | None) -> str:
    """The landing page of a series, or of a pipeline without documents."""
    if pipeline.info and pipeline.info.info.landing_pages:
        return pipeline.info.info.landing_pages[0]
    landing_page = series.present.csvw.landing_page if series else None
    page = address_in(landing_page) if landing_page else None
    return page if page and len(page) <= MAX_URL_LENGTH else pipeline.repository.page(pipeline.directory)


def _identity(pipeline: Pipeline, organisation: Organisation, page: str) -> Identity:
    title = _title(pipeline)
    in_folder = f"{pipeline.repository.folder}/{pipeline.directory}".strip("/")
    return Identity(pipeline, organisation, page, title, tuple(filter(None, (title, single_line(in_folder)))))


def _title(pipeline: Pipeline) -> str:
    if pipeline.info and (title := single_line(pipeline.info.info.title)):
        return title
    return single_line(f"{pipeline.repository.name}/{pipeline.directory}".strip("/")) or UNKNOWN_ORIGIN


def _assumptions(identities: list[Identity]) -> Iterator[Reason]:
    """The decisions on documents whose publisher is assumed because nothing names it."""
    for identity in identities:
        files = [series.present.file for series in identity.series]
        if identity.organisation.assumed and len(files) == 1:
            yield Reason(DOCUMENTS, files[0], f"It names no publisher; {identity.organisation.url} is assumed.")
        elif identity.organisation.assumed and files:
            folder = commonpath([file.rpartition("/")[0] for file in files])
            reason = f"{len(files):,} documents name no publisher; {identity.organisation.url} is assumed."
            yield Reason(FOLDERS, folder or TOP, reason)


def _distinguish_titles(identities: list[Identity]) -> Iterator[Reason]:
    """Add the name or directory to titles that pipelines of one page share; yields the decisions."""
    by_key: dict[tuple[str, ...], list[Identity]] = defaultdict(list)
    for identity in identities:
        by_key[identity.key].append(identity)
    for sharing in by_key.values():
        for identity, addition in _additions(sharing):
            identity.title = single_line(f"{identity.title[:500]} ({addition})")
            if identity.pipeline.info and identity.counts_info:
                reason = f"Its title becomes “{identity.title}”: {len(sharing)} pipelines of one page share it."
                yield Reason(INFOS, identity.pipeline.info.file, reason)


def _additions(sharing: list[Identity]) -> Iterator[tuple[Identity, str]]:
    """The additions to a shared title: the names of the pipelines, and their directories if the names are the same."""
    names = Counter(identity.pipeline.name for identity in sharing)
    all_have_code = all(identity.pipeline.source for identity in sharing)
    for identity in sharing:
        directory, name = identity.pipeline.directory, identity.pipeline.name
        if names[name] == 1 and len(sharing) > 1 and name:
            yield identity, name
        elif names[name] > 1 and not (all_have_code and not name):
            yield identity, f"{directory}/{name}".strip("/")
