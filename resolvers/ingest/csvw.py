"""CSV-W metadata documents (https://www.w3.org/TR/tabular-metadata/): what is worth asking for, taken out of them."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from resolvers.ingest import linked_data
from resolvers.ingest.csvw_tables import NOUN, Column, columns_of, main_table, tables_of
from resolvers.ingest.dates import instant
from resolvers.ingest.json_text import read_object, utf8
from resolvers.ingest.linked_data import Facts, Node
from resolvers.ingest.slugs import file_slug, slug

MAX_BYTES = 1_000_000
MAX_KEYWORDS = 100

DESCRIBED = ("rdfs:seeAlso", "prov:hadDerivation", "prov:derivedFrom", "dcat:isDistributionOf", "notes")
"""Where a document describes the dataset that its tables hold."""

DATASET_TYPES = ("dcat:Dataset", "pmdcat:Dataset", "qb:DataSet", "schema:Dataset", "skos:ConceptScheme")
"""What such a description may be, best first. Catalogue records and void:Datasets are about other things."""

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

EMPTY_FRAGMENTS = frozenset({
    "catalog-record", "code-list", "codelist", "concept-scheme", "csvqb", "dataset", "qbdataset", "schema", "scheme",
    "structure", "table", "tables",
})  # fmt: skip
"""What stands behind `#` and says which part of the description is meant, not which dataset."""


@dataclass(frozen=True)
class Csvw:
    """What a CSV-W document says of its dataset. Times are UTC; `columns` are those of the main table."""

    sha256: str
    size_bytes: int
    identifier: str | None
    title: str | None
    description: str | None
    publisher: str | None
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
    return Csvw(
        sha256=hashlib.sha256(encoded).hexdigest(),
        size_bytes=len(encoded),
        identifier=_identifier(said, table, [*descriptions, document]),
        title=_first(said, *TITLE),
        description=_first(said, *DESCRIPTION),
        publisher=_first(said, *PUBLISHER),
        issued=_first_instant(said, *ISSUED),
        modified=_first_instant(said, *MODIFIED),
        landing_page=next((url for facts in said for url in facts.addresses(*LANDING_PAGE)), None),
        keywords=_keywords(said),
        columns=columns_of(table, document),
    )


def _descriptions(document: Node, tables: list[Node]) -> list[Node]:
    """The best description of each type, best type first; of several, the one that shares the document's @id.

    They are found by type. Their ids end in #dataset, #qbDataSet, #csvqb or #code-list, depending on the version of
    the tool that wrote them.
    """
    places = [owner.get(key) for owner in (document, *tables) for key in DESCRIBED]
    found = [node for node in linked_data.nodes(*places) if "@type" in node]
    best: list[Node] = []
    for wanted in DATASET_TYPES:
        fitting = [node for node in found if linked_data.expand(wanted) in linked_data.types(node)]
        fitting.sort(key=lambda node: node.get("@id") != document.get("@id"))
        best += [node for node in fitting[:1] if node not in best]
    return best


def _identifier(said: list[Facts], table: Node, named: list[Node]) -> str | None:
    """The dataset's own identifier, else the name of the table's file, else what its @id ends in; as a slug.

    The file comes before the @id because it is what stays: over the histories of real documents the @id turns from
    `#table` to a URI and changes its base, and all code lists of a pipeline share the part before the `#`.
    """
    if own := _first(said, *IDENTIFIER):
        return _name_of(own) or None
    if isinstance(url := table.get("url"), str) and (name := file_slug(url)):
        return name
    ids = [node["@id"] for node in named if isinstance(node.get("@id"), str)]
    return next((name for name in map(_name_of, ids) if name), None)


def _name_of(id: str) -> str:
    """The last part of an id that says something: `age` of `…/deaths#scheme/age/dataset`, `trade` of `trade#tables`."""
    if "/" not in id and "#" not in id:
        return slug(id)
    path, _, fragment = id.partition("#")
    telling = [part for part in map(slug, fragment.split("/")) if part and part not in EMPTY_FRAGMENTS]
    return telling[-1] if telling else file_slug(path)


def _first(said: list[Facts], *properties: str) -> str | None:
    return next((text for facts in said if (text := facts.text(*properties))), None)


def _first_instant(said: list[Facts], *properties: str) -> datetime | None:
    texts = (text for facts in said for text in facts.texts(*properties))
    return next((at for text in texts if (at := instant(text))), None)


def _keywords(said: list[Facts]) -> list[str]:
    """Keywords as they are, then themes by their names: `trade` of `http://gss-data.org.uk/def/gdp#trade`."""
    keywords = (text for facts in said for text in facts.texts(*KEYWORD))
    themes = (_label(text) for facts in said for text in facts.texts(*THEME))
    return list(islice(dict.fromkeys(word for words in (keywords, themes) for word in words if word), MAX_KEYWORDS))


def _label(theme: str) -> str:
    return re.split(r"[/#]", theme.rstrip("/#"))[-1] if "://" in theme else theme
