"""Properties of JSON-LD nodes, in each of their spellings.

A value can be a string, `{"@value": …, "@language": …}`, `{"@id": …}`, a language map, or a list of those; a property
can be `dc:title` or a whole URI.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from resolvers.formats.json_text import storable_text

Node = dict[str, Any]

# The prefixes that CSV-W documents may use without declaring them (https://www.w3.org/2013/json-ld-context/rdfa11),
# where `dc` is the same as `dcterms`, and two more that real documents use.
PREFIXES = {
    "csvw": "http://www.w3.org/ns/csvw#",
    "dc": "http://purl.org/dc/terms/",
    "dc11": "http://purl.org/dc/elements/1.1/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "pmdcat": "http://publishmydata.com/pmdcat#",
    "prov": "http://www.w3.org/ns/prov#",
    "qb": "http://purl.org/linked-data/cube#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "http://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}


def expand(term: str) -> str:
    """The URI that a term abbreviates; the term itself if its prefix is unknown."""
    prefix, colon, name = term.partition(":")
    if colon and prefix in PREFIXES and not name.startswith("//"):
        return PREFIXES[prefix] + name
    return "http" + term.removeprefix("https") if term.startswith("https://") else term


def types(node: Node) -> set[str]:
    """The URIs of a node's types."""
    return {expand(type) for type in _as_list(node.get("@type")) if isinstance(type, str)}


def nodes(*values: object, limit: int = 20_000) -> Iterator[Node]:
    """Every object within the values, level by level, in the order of the text."""
    queue = deque(values)
    for _ in range(limit):
        if not queue:
            return
        value = queue.popleft()
        if isinstance(value, dict):
            yield value
            queue.extend(value.values())
        elif isinstance(value, list):
            queue.extend(value)


class Facts:
    """The properties of one node."""

    def __init__(self, node: Node) -> None:
        self._values: dict[str, object] = {}
        for key, value in node.items():
            self._values.setdefault(expand(key), value)

    def texts(self, *properties: str) -> Iterator[str]:
        """The texts of the properties, in the order of the arguments."""
        for property in properties:
            yield from texts(self._values.get(expand(property)))

    def values(self, *properties: str) -> list[object]:
        """The values of the properties as written, in the order of the arguments."""
        return [value for property in properties for value in _as_list(self._values.get(expand(property)))]

    def text(self, *properties: str) -> str | None:
        """The first text of the properties; None if they have none."""
        return next(self.texts(*properties), None)

    def addresses(self, *properties: str) -> Iterator[str]:
        """The addresses that the properties refer to, never the names of what they refer to."""
        for property in properties:
            for value in _as_list(self._values.get(expand(property))):
                yield from texts(value.get("@id", value.get("@value")) if isinstance(value, dict) else value)


def texts(value: object) -> Iterator[str]:
    """The non-blank texts of a JSON-LD value; those of a language map with English first."""
    for entry in _as_list(value):
        if isinstance(entry, dict):
            yield from _texts_of_object(entry)
        elif isinstance(entry, str) and (text := storable_text(entry)):
            yield text


def _texts_of_object(value: Node) -> Iterator[str]:
    """The text itself, else the name of the thing it refers to, else its address, else the texts of each language."""
    for candidate in (
        value.get("@value"),
        Facts(value).text(*NAMES) if "@value" not in value else None,
        value.get("@id"),
    ):
        if isinstance(candidate, str) and (text := storable_text(candidate)):
            yield text
            return
    by_language = {key: entry for key, entry in value.items() if not key.startswith("@") and ":" not in key}
    for language in sorted(by_language, key=lambda key: not key.startswith("en")):
        yield from (
            text
            for entry in _as_list(by_language[language])
            if isinstance(entry, str) and (text := storable_text(entry))
        )


NAMES = ("foaf:name", "skos:prefLabel", "rdfs:label", "dcterms:title", "schema:name")


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
