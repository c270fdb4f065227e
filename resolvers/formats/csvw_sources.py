"""The sources that a CSV-W document names: other tables, what its dataset was derived from, and the tools that made it.

Tables are those of foreign keys (https://www.w3.org/TR/tabular-metadata/#foreign-keys), the rest is W3C PROV.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import unquote, urlsplit

from documents.storage.url_secrets import without_secrets
from resolvers.formats.json_ld import Facts, Node
from resolvers.formats.json_text import storable_text
from resolvers.formats.slugs import web_address
from resolvers.formats.sources import MAX_ADDRESS_LENGTH, MAX_SOURCES, Mention

FOREIGN_KEYS = "foreignKeys"
GENERATED_BY = ("prov:wasGeneratedBy",)
USED = ("prov:used",)
DERIVED_FROM = ("prov:derivedFrom", "prov:wasDerivedFrom")

# https://docs.github.com/en/repositories/releasing-projects-on-github/linking-to-releases, and the same of GitLab.
RELEASE_PAGE = re.compile(r"(/[^?#]+?)(?:/releases/tag|/-/releases)/([^?#]+)")
MAX_RELEASES = 20
MAX_TAG_LENGTH = 255


@dataclass(frozen=True)
class Release:
    """A released state of a tool: its repository and the tag."""

    repository: str
    tag: str


@dataclass(frozen=True)
class CsvwSources:
    """The sources that a document names, each once, as they are written there.

    `mentions` are other tables that foreign keys refer to, then what the activity that made the dataset used, then what
    the dataset was derived from; `releases` are the tools among these.
    """

    mentions: list[Mention] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)


def sources_of_document(document: Node, tables: list[Node], main: Node, described: list[Node]) -> CsvwSources:
    """The sources of a document whose dataset is named after the table `main`; `described` are the nodes in it."""
    own = Mention(FOREIGN_KEYS, str(main.get("url")))
    mentions: dict[Mention, None] = {}
    releases: dict[Release, None] = {}
    for mention in islice(_mentions(document, tables, described), MAX_SOURCES):
        if release := _release(mention.text):
            releases[release] = None
        elif mention != own:
            mentions[mention] = None
    return CsvwSources(list(mentions), list(releases)[:MAX_RELEASES])


def _mentions(document: Node, tables: list[Node], described: list[Node]) -> Iterator[Mention]:
    """Tables that foreign keys refer to, what activities used, then what the nodes were derived from."""
    yield from (Mention(FOREIGN_KEYS, table) for table in _referenced_tables(document, tables))
    nodes = [document, *tables, *described]
    by_id = {node["@id"]: node for node in reversed(nodes) if isinstance(node.get("@id"), str)}
    facts = [Facts(node) for node in nodes]
    for activity in _activities(facts, by_id):
        yield from (Mention("prov:used", text) for text in activity.addresses(*USED))
    for node in facts:
        yield from (Mention("prov:derivedFrom", text) for text in node.addresses(*DERIVED_FROM))


def _referenced_tables(document: Node, tables: list[Node]) -> Iterator[str]:
    """The addresses of tables that foreign keys refer to."""
    for owner in (document, *(table for table in tables if table is not document)):
        schema = owner.get("tableSchema")
        for holder in (owner, schema if isinstance(schema, dict) else {}):
            keys = holder.get("foreignKeys")
            for key in keys if isinstance(keys, list) else []:
                reference = key.get("reference") if isinstance(key, dict) else None
                resource = reference.get("resource") if isinstance(reference, dict) else None
                if isinstance(resource, str) and (text := storable_text(resource)):
                    yield text


def _activities(facts: list[Facts], by_id: dict[str, Node]) -> Iterator[Facts]:
    """The activities that made any of the nodes, each once: nodes described in place, or elsewhere in the document."""
    seen: set[int] = set()
    for value in (value for node in facts for value in node.values(*GENERATED_BY)):
        reference = value.get("@id") if isinstance(value, dict) else value
        elsewhere = by_id.get(reference) if isinstance(reference, str) else None
        for activity in (value, elsewhere):
            if isinstance(activity, dict) and id(activity) not in seen:
                seen.add(id(activity))
                yield Facts(activity)


def _release(text: str) -> Release | None:
    """The release whose page a text is the address of; None for any other text."""
    address = web_address(without_secrets(text))
    if address is None or len(address) > MAX_ADDRESS_LENGTH:
        return None
    parts = urlsplit(address)
    page = RELEASE_PAGE.fullmatch(parts.path)
    tag = storable_text(unquote(page[2])) if page else ""
    if page is None or not 0 < len(tag) <= MAX_TAG_LENGTH or not tag.isprintable():
        return None
    return Release(f"https://{parts.netloc}{page[1]}", tag)
