"""CSV-W metadata documents (https://www.w3.org/TR/tabular-metadata/): the fields that clients query, extracted."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from documents.catalogue.dataset import Subject
from resolvers.formats import json_ld
from resolvers.formats.agent import Agent, agents
from resolvers.formats.csvw_subject import former_name_of, name_of, subject_of
from resolvers.formats.csvw_tables import NOUN, Column, columns_of, main_table, tables_of
from resolvers.formats.dates import instant
from resolvers.formats.json_ld import Facts, Node
from resolvers.formats.json_text import cut_name, read_object, utf8

MAX_BYTES = 1_000_000
MAX_KEYWORDS = 100
MAX_PUBLISHERS = 10

DESCRIBED = ("rdfs:seeAlso", "prov:hadDerivation", "prov:derivedFrom", "dcat:isDistributionOf", "notes")
"""Properties under which a document describes the dataset in its tables."""

DATASET_TYPES = ("dcat:Dataset", "pmdcat:Dataset", "qb:DataSet", "schema:Dataset", "skos:ConceptScheme")
"""Types of such a description, best first. Catalogue records and void:Datasets are about other things."""

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
    """The description of a dataset in a CSV-W document. Times are UTC; `columns` are those of the main table."""

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
    """All publishers that are named, of which `publisher` is the first."""
    issued: datetime | None
    modified: datetime | None
    landing_page: str | None
    keywords: list[str]
    columns: list[Column]


def read_csvw(text: str) -> Csvw:
    """Read a document; InvalidInput when it is no CSV-W metadata, or larger than 1 MB or deeper than 100 levels."""
    document = read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    tables = tables_of(document)
    encoded = utf8(text, noun=NOUN, max_bytes=MAX_BYTES)
    descriptions = _descriptions(document, tables)
    table = main_table(document, tables, [*descriptions, document])
    said = [Facts(node) for node in (*descriptions, document, table)]
    publishers = _publishers(said)
    about = (_first(said, *IDENTIFIER), table, [*descriptions, document])
    title = _first(said, *TITLE)
    return Csvw(
        sha256=hashlib.sha256(encoded).hexdigest(),
        size_bytes=len(encoded),
        identifier=name_of(*about),
        former_identifier=former_name_of(*about),
        has_own_identifier=about[0] is not None,
        subject=subject_of(*about),
        title=title and cut_name(title),
        description=_first(said, *DESCRIPTION),
        publisher=publishers[0].name or publishers[0].address if publishers else None,
        publishers=publishers,
        issued=_first_instant(said, *ISSUED),
        modified=_first_instant(said, *MODIFIED),
        landing_page=next((url for facts in said for url in facts.addresses(*LANDING_PAGE)), None),
        keywords=_keywords(said),
        columns=columns_of(table, document),
    )


def _descriptions(document: Node, tables: list[Node]) -> list[Node]:
    """The best description of each type, best type first; of several, the one that shares the document's @id.

    Descriptions are found by type, since their ids end in #dataset, #qbDataSet, #csvqb or #code-list, depending on the
    version of the tool that wrote them.
    """
    places = [owner.get(key) for owner in (document, *tables) for key in DESCRIBED]
    found = [node for node in json_ld.nodes(*places) if "@type" in node]
    best: list[Node] = []
    for wanted in DATASET_TYPES:
        fitting = [node for node in found if json_ld.expand(wanted) in json_ld.types(node)]
        fitting.sort(key=lambda node: node.get("@id") != document.get("@id"))
        best += [node for node in fitting[:1] if node not in best]
    return best


def _first(said: list[Facts], *properties: str) -> str | None:
    return next((text for facts in said if (text := facts.text(*properties))), None)


def _first_instant(said: list[Facts], *properties: str) -> datetime | None:
    texts = (text for facts in said for text in facts.texts(*properties))
    return next((at for text in texts if (at := instant(text))), None)


def _publishers(said: list[Facts]) -> list[Agent]:
    named = (agent for facts in said for agent in agents(facts.values(*PUBLISHER)))
    return list(islice(dict.fromkeys(named), MAX_PUBLISHERS))


def _keywords(said: list[Facts]) -> list[str]:
    """Keywords as they are, then themes by their names: `trade` of `http://gss-data.org.uk/def/gdp#trade`."""
    keywords = (text for facts in said for text in facts.texts(*KEYWORD))
    themes = (_label(text) for facts in said for text in facts.texts(*THEME))
    return list(islice(dict.fromkeys(word for words in (keywords, themes) for word in words if word), MAX_KEYWORDS))


def _label(theme: str) -> str:
    return re.split(r"[/#]", theme.rstrip("/#"))[-1] if "://" in theme else theme
