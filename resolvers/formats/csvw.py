"""Parser for CSV-W metadata documents (https://www.w3.org/TR/tabular-metadata/): the fields that clients query."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from documents.catalogue.dataset import Subject
from resolvers.formats import json_ld
from resolvers.formats.agent import Agent, agents
from resolvers.formats.csvw_sources import CsvwSources, sources_of_document
from resolvers.formats.csvw_subject import former_name_of, name_of, subject_of
from resolvers.formats.csvw_tables import NOUN, Column, columns_of, main_table, tables_of
from resolvers.formats.dates import instant
from resolvers.formats.json_ld import Facts, Node
from resolvers.formats.json_text import cut_name, read_object, utf8
from resolvers.formats.sources import source_url

MAX_BYTES = 1_000_000
MAX_KEYWORDS = 100
MAX_PUBLISHERS = 10

DESCRIPTION_PROPERTIES = ("rdfs:seeAlso", "prov:hadDerivation", "prov:derivedFrom", "dcat:isDistributionOf", "notes")
"""Properties under which a document describes the dataset in its tables."""

DATASET_TYPES = ("dcat:Dataset", "pmdcat:Dataset", "qb:DataSet", "schema:Dataset", "skos:ConceptScheme")
"""Types of such a description, best first. Catalogue records and void:Datasets describe other things."""

TITLE = ("dcterms:title", "dc11:title", "schema:name", "rdfs:label", "skos:prefLabel", "title")
DESCRIPTION = (
    "dcterms:description", "dc11:description", "pmdcat:markdownDescription", "schema:description", "rdfs:comment",
    "description",
)  # fmt: skip
PUBLISHER = ("dcterms:publisher", "dcat:publisher", "dc11:publisher", "schema:publisher", "publisher")
ISSUED = ("dcterms:issued", "schema:datePublished", "issued")
MODIFIED = ("dcterms:modified", "schema:dateModified", "modified")
LANDING_PAGE = ("dcat:landingPage", "landingPage")
KEYWORD = ("dcat:keyword", "schema:keywords", "keywords")
THEME = ("dcat:theme", "theme")
IDENTIFIER = ("dcterms:identifier", "dc11:identifier")


@dataclass(frozen=True)
class Csvw:
    """A dataset as its CSV-W document describes it. Times are UTC; `columns` are those of the main table."""

    sha256: str
    size_bytes: int
    identifier: str | None
    former_identifier: str | None
    """The name that earlier releases gave the dataset."""
    has_own_identifier: bool
    """Whether the document gives its dataset an identifier."""
    subject: Subject
    title: str | None
    description: str | None
    publisher: str | None
    publishers: list[Agent]
    """Every publisher that the document names; `publisher` is the first of them."""
    issued: datetime | None
    modified: datetime | None
    landing_page: str | None
    keywords: list[str]
    columns: list[Column]
    table_url: str | None
    """The address of the main table, in the form of `file_url`; None if it is relative."""
    sources: CsvwSources


def read_csvw(text: str) -> Csvw:
    """Parse a document. Raises InvalidInput if it is not CSV-W metadata, larger than 1 MB or deeper than 100 levels."""
    document = read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    tables = tables_of(document)
    encoded = utf8(text, noun=NOUN, max_bytes=MAX_BYTES)
    described = _described_nodes(document, tables)
    descriptions = _descriptions(document, described)
    table = main_table(document, tables, [*descriptions, document])
    sources = [Facts(node) for node in (*descriptions, document, table)]
    publishers = _publishers(sources)
    about = (_first(sources, *IDENTIFIER), table, [*descriptions, document])
    title = _first(sources, *TITLE)
    return Csvw(
        sha256=hashlib.sha256(encoded).hexdigest(),
        size_bytes=len(encoded),
        identifier=name_of(*about),
        former_identifier=former_name_of(*about),
        has_own_identifier=about[0] is not None,
        subject=subject_of(*about),
        title=title and cut_name(title),
        description=_first(sources, *DESCRIPTION),
        publisher=publishers[0].name or publishers[0].address if publishers else None,
        publishers=publishers,
        issued=_first_instant(sources, *ISSUED),
        modified=_first_instant(sources, *MODIFIED),
        landing_page=next((url for facts in sources for url in facts.addresses(*LANDING_PAGE)), None),
        keywords=_keywords(sources),
        columns=columns_of(table, document),
        table_url=source_url(url) if isinstance(url := table.get("url"), str) else None,
        sources=sources_of_document(document, tables, table, described),
    )


def _described_nodes(document: Node, tables: list[Node]) -> list[Node]:
    """The nodes within the properties that describe the dataset."""
    return list(json_ld.nodes(*(owner.get(key) for owner in (document, *tables) for key in DESCRIPTION_PROPERTIES)))


def _descriptions(document: Node, described: list[Node]) -> list[Node]:
    """The best description of each type, best type first; of several, the one that shares the document's @id.

    Descriptions are found by type, since their ids end in #dataset, #qbDataSet, #csvqb or #code-list, depending on the
    version of the tool that wrote them.
    """
    described = [node for node in described if "@type" in node]
    best: list[Node] = []
    for type in DATASET_TYPES:
        matches = [node for node in described if json_ld.expand(type) in json_ld.types(node)]
        matches.sort(key=lambda node: node.get("@id") != document.get("@id"))
        best += [node for node in matches[:1] if node not in best]
    return best


def _first(sources: list[Facts], *properties: str) -> str | None:
    return next((text for facts in sources if (text := facts.text(*properties))), None)


def _first_instant(sources: list[Facts], *properties: str) -> datetime | None:
    texts = (text for facts in sources for text in facts.texts(*properties))
    return next((at for text in texts if (at := instant(text))), None)


def _publishers(sources: list[Facts]) -> list[Agent]:
    named = (agent for facts in sources for agent in agents(facts.values(*PUBLISHER)))
    return list(islice(dict.fromkeys(named), MAX_PUBLISHERS))


def _keywords(sources: list[Facts]) -> list[str]:
    """Keywords as written, then the names of themes: `trade` of `http://gss-data.org.uk/def/gdp#trade`."""
    keywords = (text for facts in sources for text in facts.texts(*KEYWORD))
    themes = (_label(text) for facts in sources for text in facts.texts(*THEME))
    return list(islice(dict.fromkeys(word for words in (keywords, themes) for word in words if word), MAX_KEYWORDS))


def _label(theme: str) -> str:
    return re.split(r"[/#]", theme.rstrip("/#"))[-1] if "://" in theme else theme
