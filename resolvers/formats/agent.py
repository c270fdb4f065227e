"""Agents, such as publishers, as documents name them: a name, an address, a Markdown link, or an object of both."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from resolvers.formats.json_ld import NAMES, Facts, texts
from resolvers.formats.json_text import storable
from resolvers.formats.slugs import web_address

AGENT_NAMES = (*NAMES, "schema:legalName", "name")
AGENT_ADDRESSES = ("schema:url", "foaf:homepage", "foaf:page", "url")

MARKDOWN = re.compile(r"\[(?P<words>[^\[\]]*)\]\(\s*<?(?P<address>[^\s<>()]+(?:\([^\s<>()]*\)[^\s<>()]*)*)>?[^()]*\)")
ADDRESS = re.compile(r"https?://[^\s<>\[\]\"`]+", re.IGNORECASE)
LONGEST = 5_000
"""Characters of a text that are searched for an address."""


class Agent(NamedTuple):
    """A person or organisation with a name, a web address, or both."""

    name: str | None
    address: str | None


def agents(value: object) -> Iterator[Agent]:
    """The agents that a JSON value names: a text, an object as in JSON-LD, or a list of those."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            agent = _agent_of_object(one)
        else:
            agent = read_link(one) if isinstance(one, str) else Agent(None, None)
        if agent.name or agent.address:
            yield agent


def read_link(text: str) -> Agent:
    """The words and the web address in a text, which may be a Markdown link."""
    words = " ".join(storable(text).split())
    begin = words[:LONGEST]
    if link := MARKDOWN.search(begin):
        return Agent(_name(link["words"]), web_address(link["address"]))
    if (found := ADDRESS.search(begin)) and (address := web_address(_closed(found[0]))):
        return Agent(_name(words.replace(_closed(found[0]), " ")), address)
    return Agent(words or None, None)


def address_in(text: str) -> str | None:
    """The web address in a text, None where there is none."""
    return web_address(text) or read_link(text).address


def _agent_of_object(value: dict[str, Any]) -> Agent:
    """The name and the address of the agent. An @id that is no address is taken for its name."""
    facts = Facts(value)
    addresses = (address_in(text) for text in (*_strings(value.get("@id")), *facts.addresses(*AGENT_ADDRESSES)))
    said = [read_link(text) for text in (*_strings(value.get("@value")), *facts.texts(*AGENT_NAMES), *texts(value))]
    address = next((one for one in (*addresses, *(agent.address for agent in said)) if one), None)
    return Agent(next((agent.name for agent in said if agent.name), None), address)


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else []


def _name(words: str) -> str | None:
    """The words without the punctuation around and between the parts of a link."""
    bare = " ".join(re.sub(r"[(<\[]\s*[)>\]]", " ", words).split())
    name = bare.removesuffix(" .").strip(" <>[]{}|-–:,;\"'`")
    return None if web_address(name) else name or None


def _closed(address: str) -> str:
    """An address without the punctuation of the sentence around it."""
    bare = address.rstrip(".,;:!'")
    return bare.rstrip(")") if "(" not in bare else bare
