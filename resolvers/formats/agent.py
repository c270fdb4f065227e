"""Agents, such as publishers, as documents name them: by a name, an address, a Markdown link, or an object."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from resolvers.formats.json_ld import NAMES, Facts, texts
from resolvers.formats.json_text import storable_text
from resolvers.formats.slugs import web_address

AGENT_NAMES = (*NAMES, "schema:legalName", "name")
AGENT_ADDRESSES = ("schema:url", "foaf:homepage", "foaf:page", "url")

MARKDOWN_LINK = re.compile(
    r"\[(?P<words>[^\[\]]*)\]\(\s*<?(?P<address>[^\s<>()]+(?:\([^\s<>()]*\)[^\s<>()]*)*)>?[^()]*\)"
)
ADDRESS = re.compile(r"https?://[^\s<>\[\]\"`]+", re.IGNORECASE)
MAX_SEARCHED_LENGTH = 5_000
"""Characters of a text that are searched for an address: the expressions backtrack on longer ones."""


class Agent(NamedTuple):
    """A person or organisation with a name, a web address, or both."""

    name: str | None
    address: str | None


def agents(value: object) -> Iterator[Agent]:
    """The agents that a JSON value names. The value is a text, an object as in JSON-LD, or a list of those."""
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, dict):
            agent = _agent_of_object(entry)
        else:
            agent = read_link(entry) if isinstance(entry, str) else Agent(None, None)
        if agent.name or agent.address:
            yield agent


def read_link(text: str) -> Agent:
    """The name and the web address in a text, which may be a Markdown link."""
    words = " ".join(storable_text(text).split())
    start = words[:MAX_SEARCHED_LENGTH]
    if link := MARKDOWN_LINK.search(start):
        return Agent(_name(link["words"]), web_address(link["address"]))
    if (match := ADDRESS.search(start)) and (address := web_address(_bare_address(match[0]))):
        return Agent(_name(words.replace(_bare_address(match[0]), " ")), address)
    return Agent(words or None, None)


def address_in(text: str) -> str | None:
    """The web address in a text; None if there is none."""
    return web_address(text) or read_link(text).address


def _agent_of_object(value: dict[str, Any]) -> Agent:
    """The name and the address of the agent. An @id that is not an address is used as its name."""
    facts = Facts(value)
    addresses = (address_in(text) for text in (*_strings(value.get("@id")), *facts.addresses(*AGENT_ADDRESSES)))
    links = [read_link(text) for text in (*_strings(value.get("@value")), *facts.texts(*AGENT_NAMES), *texts(value))]
    address = next((candidate for candidate in (*addresses, *(link.address for link in links)) if candidate), None)
    return Agent(next((link.name for link in links if link.name), None), address)


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else []


def _name(words: str) -> str | None:
    """The words without the brackets and separators that a removed link leaves behind."""
    bare = " ".join(re.sub(r"[(<\[]\s*[)>\]]", " ", words).split())
    name = bare.removesuffix(" .").strip(" <>[]{}|-–:,;\"'`")
    return None if web_address(name) else name or None


def _bare_address(address: str) -> str:
    """An address without the punctuation of the sentence around it."""
    bare = address.rstrip(".,;:!'")
    return bare.rstrip(")") if "(" not in bare else bare
