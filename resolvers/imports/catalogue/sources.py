"""The sources that imported pipelines name: which pipelines they bring to the front, and what is no source."""

from collections.abc import Iterator

from resolvers.formats.csvw import Csvw
from resolvers.formats.slugs import file_slug
from resolvers.formats.sources import is_relative, reason_left_out, source_url
from resolvers.imports.catalogue.dataset_matching import Destinations
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.folder import DOCUMENTS, INFOS, Reason

MAX_CHAIN = 10
"""Pipelines in a row of which each uses tables of the one before; real code lists use none."""


def sources_first(identities: list[Identity]) -> list[Identity]:
    """The identities in an order in which those come first whose tables others name as sources.

    A run finds the distribution of a table only if it has been published before. Otherwise the order stays.
    """
    makers = {document.table_url: identity for identity in identities for document in _documents(identity)}
    makers.pop(None, None)
    used = {identity: {makers[url] for url in _source_urls(identity) if url in makers} for identity in identities}
    rank = dict.fromkeys(identities, 0)
    for _ in range(MAX_CHAIN):
        for identity, others in used.items():
            rank[identity] = max((rank[other] + 1 for other in others if other is not identity), default=0)
    return sorted(identities, key=lambda identity: rank[identity])


def sources_left_out(identities: list[Identity], destinations: Destinations) -> Iterator[Reason]:
    """The reasons why texts in the place of sources are none, and relative addresses of tables that are not here."""
    for identity in identities:
        if identity.counts_info and (info := identity.pipeline.info):
            yield from (Reason(INFOS, info.file, reason) for reason in info.info.sources.left_out)
        names = _dataset_names(identity, destinations)
        for document in (state.document for series in identity.series for state in series.states):
            for mention in document.csvw.sources.mentions:
                is_known = is_relative(mention.text) and file_slug(mention.text) in names
                if source_url(mention.text) is None and not is_known:
                    yield Reason(DOCUMENTS, document.file, reason_left_out(mention))


def _documents(identity: Identity) -> Iterator[Csvw]:
    return (state.document.csvw for series in identity.series for state in series.states)


def _source_urls(identity: Identity) -> Iterator[str]:
    if identity.pipeline.info:
        yield from identity.pipeline.info.info.sources.urls
    for document in _documents(identity):
        yield from filter(None, (source_url(mention.text) for mention in document.sources.mentions))


def _dataset_names(identity: Identity, destinations: Destinations) -> set[str | None]:
    """The names of datasets among which a run finds tables with relative addresses, and of those that it makes."""
    resources = {destinations.of(series).resource for series in identity.series}
    stored = {dataset.identifier for resource in resources if resource for dataset in resource.datasets}
    return stored | {document.identifier for document in _documents(identity)}
