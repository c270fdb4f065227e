"""Inputs that are assumed for a run whose report does not say what it used: the sources that its documents name."""

from collections.abc import Iterator, Sequence
from itertools import islice

from documents.activities.activity import CodeReference
from documents.provenance.used import Used
from resolvers.catalogue.published_tables import Moment, published_tables
from resolvers.catalogue.read_distributions import ReportedDocument
from resolvers.formats.info_json import MAX_BYTES, NOUN
from resolvers.formats.info_json_sources import sources_of_info
from resolvers.formats.json_text import read_object
from resolvers.formats.slugs import file_slug
from resolvers.formats.sources import is_relative, source_url
from resolvers.limits import MAX_USED_ARTIFACTS
from resolvers.provenance.external_data.external_state import ExternalState
from resolvers.provenance.external_data.external_url import external_url
from resolvers.provenance.used import NamedArtifact
from resolvers.user_errors import InvalidInput

MAX_TOOLS = 100
"""Releases of tools that are listed with the code of a run."""


async def assumed_inputs(info: str | None, reported: Sequence[ReportedDocument], moment: Moment) -> list[NamedArtifact]:
    """The inputs that an info.json and the documents of a run name, each once. Nothing is stored.

    A source is the distribution that described the table at its address at the moment, where there was one, else data
    that lies elsewhere. Tables that the run itself makes are no inputs.
    """
    addresses = list(islice(dict.fromkeys(_addresses(info, reported)), MAX_USED_ARTIFACTS))
    published = await published_tables(addresses, moment)
    named: list[NamedArtifact] = []
    for address in addresses:
        if row := published.get(address):
            named.append(NamedArtifact(Used(ref=row["_id"], sha256=row["sha256"], assumed=True), None))
        elif url := external_url(address):
            state = ExternalState(url)
            named.append(NamedArtifact(state.used(), state))
    return named


def tools_used(reported: Sequence[ReportedDocument]) -> list[CodeReference]:
    """The releases of tools that the documents of a run name, each with its tag in the place of a commit."""
    releases = dict.fromkeys(release for document in reported for release in document.csvw.sources.releases)
    return [CodeReference(repository=release.repository, commit=release.tag) for release in islice(releases, MAX_TOOLS)]


def _addresses(info: str | None, reported: Sequence[ReportedDocument]) -> Iterator[str]:
    """The addresses of sources, those in the info.json first, without the tables that the run itself made."""
    own_urls = {document.csvw.table_url for document in reported}
    own_names = {name for document in reported for name in (document.csvw.identifier, document.dataset)}
    yield from (url for url in _sources_of_info(info) if url not in own_urls)
    for mention in (mention for document in reported for mention in document.csvw.sources.mentions):
        url = source_url(mention.text)
        if url is not None and url not in own_urls:
            yield url
        elif is_relative(mention.text) and file_slug(mention.text) not in own_names:
            yield mention.text


def _sources_of_info(text: str | None) -> list[str]:
    """The sources that an info.json names; none where a client stored something else."""
    try:
        return sources_of_info(read_object(text or "", noun=NOUN, max_bytes=MAX_BYTES)).urls
    except InvalidInput:
        return []
