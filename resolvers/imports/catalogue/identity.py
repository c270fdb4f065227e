"""Identities: publisher, page and title of a pipeline's documents, by which its resources are recognised."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import commonpath
from typing import Any

from resolvers.formats.agent import Agent, address_in
from resolvers.imports.catalogue.pairing import Pipeline, Series
from resolvers.imports.catalogue.publishers import Organisation, Titles, assumed_organisation, organisation_of
from resolvers.imports.folder import DOCUMENTS, FOLDERS, INFOS, TOP, Reason
from resolvers.user_errors import InvalidInput
from resolvers.validators import MAX_LINE_LENGTH, MAX_URL_LENGTH

UNKNOWN_ORIGIN = "Documents of unknown origin"


@dataclass(eq=False)
class Identity:
    """The natural keys of an organisation and of the resource for its documents from a pipeline."""

    pipeline: Pipeline
    organisation: Organisation
    landing_page: str
    title: str
    former_titles: tuple[str, ...]
    """Titles by which earlier releases named it: not told apart from others, or after the imported folder."""
    series: list[Series] = field(default_factory=list)
    counts_info: bool = False
    """Whether the pipeline's info.json is counted with this resource. Others of the pipeline keep it as well."""
    usual_organisation: Organisation | None = None
    """The publisher of those documents of the pipeline that name none."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Distinguishes it from other identities, apart from the directory of the code."""
        return self.organisation.url, self.landing_page, self.pipeline.repository.key, self.title

    def code_repo(self, source: list[dict[str, str]]) -> dict[str, Any]:
        """The pipeline's repository in the form of a report."""
        repository = self.pipeline.repository
        name = self.pipeline.name or None
        return {"provider": repository.provider, "url": repository.url, "pipeline": name, "source": source}


def identify(pipelines: list[Pipeline]) -> tuple[list[Identity], list[Reason]]:
    """The identities of each pipeline, no two alike, and the decisions made for them.

    A document's publisher is the one that it names itself, else the one in its info.json, else the owner of the
    repository, which is an assumption. Its landing page is the first of info.json, else its own, else the directory in
    the repository.
    """
    identifying = _Identifying(pipelines)
    identities = [identity for pipeline in pipelines for identity in identifying.identities(pipeline)]
    return identities, [*identifying.decided, *_told_apart(identities)]


class _Identifying:
    def __init__(self, pipelines: list[Pipeline]) -> None:
        self.decided: list[Reason] = []
        described = [pipeline.info.info.title for pipeline in pipelines if pipeline.info]
        titles = (series.present.csvw.title for pipeline in pipelines for series in pipeline.series)
        self._titles = Titles([*described, *titles])

    def identities(self, pipeline: Pipeline) -> list[Identity]:
        """One identity for each publisher and page of a pipeline's documents; without documents a single one."""
        usual = self._usual_organisation(pipeline)
        found: dict[tuple[str, str], Identity] = {}
        for series in pipeline.series:
            organisation = self._named_by(series) or usual
            page = _page(pipeline, series)
            found.setdefault((organisation.url, page), _identity(pipeline, organisation, page)).series.append(series)
        if not found:
            page = _page(pipeline, None)
            found[usual.url, page] = _identity(pipeline, usual, page)
        identities = list(found.values())
        main = next((one for one in identities if one.organisation.url == usual.url), identities[0])
        main.counts_info, main.usual_organisation = pipeline.info is not None, usual
        # For a described pipeline the missing publisher is noted once, on its info.json.
        self.decided += () if pipeline.info else _assumptions(identities)
        return identities

    def _usual_organisation(self, pipeline: Pipeline) -> Organisation:
        """The publisher of documents that name none."""
        assumed = assumed_organisation(pipeline.repository)
        if pipeline.info is None:
            return assumed
        info, file = pipeline.info.info, pipeline.info.file
        taken = f"{assumed.url} is assumed"
        if len(info.landing_pages) > 1:
            reason = f"The first of its {len(info.landing_pages)} landing pages is taken: {info.landing_pages[0]}."
            self.decided.append(Reason(INFOS, file, reason))
        if not info.landing_pages:
            page = _page(pipeline, None)
            self.decided.append(Reason(INFOS, file, f"It names no landing page; {page} is taken."))
        if not info.publisher:
            self.decided.append(Reason(INFOS, file, f"It names no publisher; {taken}."))
            return assumed
        name = None if info.publisher == info.publisher_address else info.publisher
        return self._first([Agent(name, info.publisher_address)], INFOS, file, taken) or assumed

    def _named_by(self, series: Series) -> Organisation | None:
        """The publisher that a document names itself."""
        document = series.present
        return self._first(document.csvw.publishers, DOCUMENTS, document.file, "it is left out")

    def _first(self, named: list[Agent], kind: str, file: str, otherwise: str) -> Organisation | None:
        """The first that can be a publisher; earlier ones are noted in the report with the reason why they cannot."""
        for agent in named:
            try:
                return organisation_of(agent, self._titles)
            except InvalidInput as error:
                preview = (agent.name or agent.address or "")[:100]
                reason = f"“{preview}” is no publisher, because {error.message}; {otherwise}."
                self.decided.append(Reason(kind, file, reason))
        return None


def _page(pipeline: Pipeline, series: Series | None) -> str:
    """The page on which documents are offered; it is never the page of another document."""
    if pipeline.info and pipeline.info.info.landing_pages:
        return pipeline.info.info.landing_pages[0]
    said = series.present.csvw.landing_page if series else None
    page = address_in(said) if said else None
    return page if page and len(page) <= MAX_URL_LENGTH else pipeline.repository.page(pipeline.directory)


def _identity(pipeline: Pipeline, organisation: Organisation, page: str) -> Identity:
    title = _title(pipeline)
    in_folder = f"{pipeline.repository.folder}/{pipeline.directory}".strip("/")
    return Identity(pipeline, organisation, page, title, tuple(filter(None, (title, _a_line(in_folder)))))


def _title(pipeline: Pipeline) -> str:
    if pipeline.info and (title := _a_line(pipeline.info.info.title)):
        return title
    return _a_line(f"{pipeline.repository.name}/{pipeline.directory}".strip("/")) or UNKNOWN_ORIGIN


def _assumptions(identities: list[Identity]) -> Iterator[Reason]:
    """Note the documents whose publisher is assumed because nothing names it."""
    for one in identities:
        files = [series.present.file for series in one.series]
        if one.organisation.assumed and len(files) == 1:
            yield Reason(DOCUMENTS, files[0], f"It names no publisher; {one.organisation.url} is assumed.")
        elif one.organisation.assumed and files:
            folder = commonpath([file.rpartition("/")[0] for file in files])
            reason = f"{len(files):,} documents name no publisher; {one.organisation.url} is assumed."
            yield Reason(FOLDERS, folder or TOP, reason)


def _told_apart(identities: list[Identity]) -> Iterator[Reason]:
    """Add name or directory to titles that two pipelines of one page share, where nothing else distinguishes them."""
    alike: dict[tuple[str, ...], list[Identity]] = defaultdict(list)
    for one in identities:
        alike[one.key].append(one)
    for sharing in alike.values():
        for one, addition in _additions(sharing):
            one.title = _a_line(f"{one.title[:500]} ({addition})")
            if one.pipeline.info and one.counts_info:
                reason = f"Its title becomes “{one.title}”: {len(sharing)} pipelines of one page share it."
                yield Reason(INFOS, one.pipeline.info.file, reason)


def _additions(sharing: list[Identity]) -> Iterator[tuple[Identity, str]]:
    """The additions to the titles of pipelines that share one: names, and directories where names are not enough."""
    names = Counter(one.pipeline.name for one in sharing)
    all_have_code = all(one.pipeline.source for one in sharing)
    for one in sharing:
        directory, name = one.pipeline.directory, one.pipeline.name
        if names[name] == 1 and len(sharing) > 1 and name:
            yield one, name
        elif names[name] > 1 and not (all_have_code and not name):
            yield one, f"{directory}/{name}".strip("/")


def _a_line(text: str) -> str:
    """A text on one line, cut to the maximum length of a title."""
    return " ".join(re.sub(r"[\x00-\x1f]", " ", text).split())[:MAX_LINE_LENGTH].rstrip()
