"""Who publishes a pipeline's documents, on which page, under which title: what its resource is known by."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from resolvers.checks import LONGEST_LINE
from resolvers.ingest.catalogue_files import INFOS, Reason
from resolvers.ingest.catalogue_pipelines import Pipeline
from resolvers.ingest.csvw import Csvw
from resolvers.ingest.info_json import organisation_url
from resolvers.ingest.slugs import web_address
from resolvers.refusals import InvalidInput


@dataclass
class Identity:
    """The natural keys of a pipeline's organisation and resource."""

    pipeline: Pipeline
    organisation_url: str
    organisation_name: str | None
    landing_page: str
    title: str

    def code_repo(self, source: list[dict[str, str]]) -> dict[str, Any]:
        """The pipeline's repository as a report gives it."""
        repository = self.pipeline.repository
        return {"provider": repository.provider, "url": repository.url, "source": source}


def identify(pipelines: list[Pipeline]) -> tuple[list[Identity], list[Reason]]:
    """The identity of each pipeline, no two alike, and what was decided for them.

    The publisher is who info.json names, else the first that a document names, else the owner of the repository. The
    landing page is the first of info.json, else of the documents, else the directory in the repository.
    """
    adjusted: list[Reason] = []
    identities = []
    for pipeline in pipelines:
        url, name = _organisation(pipeline)
        pages = _pages(pipeline)
        identities.append(Identity(pipeline, url, name, pages[0], _title(pipeline)))
        adjusted += _decided(pipeline, pages)
    return identities, [*adjusted, *_told_apart(identities)]


def _organisation(pipeline: Pipeline) -> tuple[str, str | None]:
    for publisher in _publishers(pipeline):
        try:
            url = organisation_url(publisher)
        except InvalidInput:
            continue
        return url, None if web_address(publisher) else _a_line(publisher)
    if owner := pipeline.repository.owner_url:
        return owner, owner.rpartition("/")[2]
    try:
        return organisation_url(pipeline.repository.name), pipeline.repository.name
    except InvalidInput:
        return "urn:publisher:unknown", None


def _publishers(pipeline: Pipeline) -> Iterator[str]:
    if pipeline.info and pipeline.info.info.publisher:
        yield pipeline.info.info.publisher
    yield from (document.publisher for document in _documents(pipeline) if document.publisher)


def _pages(pipeline: Pipeline) -> list[str]:
    """The landing pages that are named, of which the first is taken; at least one."""
    if pipeline.info and pipeline.info.info.landing_pages:
        return pipeline.info.info.landing_pages
    said = (web_address(document.landing_page) for document in _documents(pipeline) if document.landing_page)
    return [page for page in said if page][:1] or [pipeline.repository.page(pipeline.directory)]


def _title(pipeline: Pipeline) -> str:
    if pipeline.info and (title := _a_line(pipeline.info.info.title)):
        return title
    return _a_line(f"{pipeline.repository.name}/{pipeline.directory}".rstrip("/"))


def _documents(pipeline: Pipeline) -> Iterator[Csvw]:
    """What the pipeline's documents say, the latest of each series."""
    return (series.states[-1].document.csvw for series in pipeline.series)


def _decided(pipeline: Pipeline, pages: list[str]) -> Iterator[Reason]:
    if pipeline.info is None:
        return
    if len(pages) > 1:
        yield Reason(INFOS, pipeline.info.file, f"The first of its {len(pages)} landing pages is taken: {pages[0]}.")
    if not pipeline.info.info.landing_pages:
        yield Reason(INFOS, pipeline.info.file, f"It names no landing page; {pages[0]} is taken.")
    if not pipeline.info.info.publisher:
        yield Reason(INFOS, pipeline.info.file, f"It names no publisher; {_organisation(pipeline)[0]} is taken.")


def _told_apart(identities: list[Identity]) -> Iterator[Reason]:
    """Add the directory to titles that two pipelines of one page share, when it is all that tells them apart."""
    alike: dict[tuple[str, ...], list[Identity]] = defaultdict(list)
    for one in identities:
        alike[one.organisation_url, one.landing_page, one.pipeline.repository.key, one.title].append(one)
    for sharing in alike.values():
        if len(sharing) > 1 and not all(one.pipeline.source for one in sharing):
            for one in sharing:
                one.title = _a_line(f"{one.title[:500]} ({one.pipeline.directory})")
                if one.pipeline.info:
                    reason = f"Its title becomes “{one.title}”: {len(sharing)} pipelines of one page share it."
                    yield Reason(INFOS, one.pipeline.info.file, reason)


def _a_line(text: str) -> str:
    """A text on one line, cut to what a title may have."""
    return " ".join(re.sub(r"[\x00-\x1f]", " ", text).split())[:LONGEST_LINE].rstrip()
