"""Reading properties of JSON-LD nodes, however their writer spelled them.

A value is met as a string, as `{"@value": …, "@language": …}`, as `{"@id": …}`, as a language map, and as a list of
those; a property as `dc:title` or as a whole URI.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from resolvers.formats.json_text import storable

Node = dict[str, Any]

# The prefixes that CSV-W documents may use unannounced (https://www.w3.org/2013/json-ld-context/rdfa11), where `dc`
# is the same as `dcterms`, and two more that are met.
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
    """The whole URI behind a term, or the term itself when its prefix is unknown."""
    prefix, colon, name = term.partition(":")
    if colon and prefix in PREFIXES and not name.startswith("//"):
        return PREFIXES[prefix] + name
    return "http" + term.removeprefix("https") if term.startswith("https://") else term


def types(node: Node) -> set[str]:
    """The whole URIs of a node's types."""
    return {expand(one) for one in _listed(node.get("@type")) if isinstance(one, str)}


def nodes(*values: object, limit: int = 20_000) -> Iterator[Node]:
    """Every object within some values, outer before inner, in the order they are written."""
    waiting = deque(values)
    for _ in range(limit):
        if not waiting:
            return
        value = waiting.popleft()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


class Facts:
    """The properties of one node."""

    def __init__(self, node: Node) -> None:
        self._values: dict[str, object] = {}
        for key, value in node.items():
            self._values.setdefault(expand(key), value)

    def texts(self, *properties: str) -> Iterator[str]:
        """The texts of some properties, those of the first property first."""
        for property in properties:
            yield from texts(self._values.get(expand(property)))

    def values(self, *properties: str) -> list[object]:
        """The values of some properties, as they are written."""
        return [one for property in properties for one in _listed(self._values.get(expand(property)))]

    def text(self, *properties: str) -> str | None:
        """The first text of some properties."""
        return next(self.texts(*properties), None)

    def addresses(self, *properties: str) -> Iterator[str]:
        """The addresses that some properties point to, never the names."""
        for property in properties:
            for one in _listed(self._values.get(expand(property))):
                yield from texts(one.get("@id", one.get("@value")) if isinstance(one, dict) else one)


def texts(value: object) -> Iterator[str]:
    """The texts of a JSON-LD value that are not blank. Of a language map, English first."""
    for one in _listed(value):
        if isinstance(one, dict):
            yield from _texts_of_object(one)
        elif isinstance(one, str) and (text := storable(one)):
            yield text


def _texts_of_object(value: Node) -> Iterator[str]:
    """The text itself, else the name of the thing that is meant, else its address, else one text a language."""
    for held in (value.get("@value"), Facts(value).text(*NAMES) if "@value" not in value else None, value.get("@id")):
        if isinstance(held, str) and (text := storable(held)):
            yield text
            return
    spoken = {key: said for key, said in value.items() if not key.startswith("@") and ":" not in key}
    for language in sorted(spoken, key=lambda key: not key.startswith("en")):
        yield from (text for said in _listed(spoken[language]) if isinstance(said, str) and (text := storable(said)))


NAMES = ("foaf:name", "skos:prefLabel", "rdfs:label", "dcterms:title", "schema:name")


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
