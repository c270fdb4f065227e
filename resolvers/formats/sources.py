"""Sources: the addresses of the data that documents say they were made from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from documents.storage.file_url import file_url
from documents.storage.url_secrets import without_secrets
from resolvers.formats.slugs import web_address

MAX_SOURCES = 1_000
"""Sources of one document."""
MAX_ADDRESS_LENGTH = 2_000


class Mention(NamedTuple):
    """A text that should be the address of a source, and the name of the property that has it."""

    property: str
    text: str


@dataclass(frozen=True)
class Sources:
    """The sources that a document names: each address once, in the order of the document, in the form of `file_url`.

    `left_out` has the reasons why mentions are no sources.
    """

    urls: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_sources(mentions: Iterable[Mention]) -> Sources:
    """The sources that are mentioned. Only http and https addresses count, and no more than the first 1,000 mentions.

    User names, passwords, signatures and tokens are removed from the addresses.
    """
    first_by_text: dict[str, Mention] = {}
    for mention in islice(mentions, MAX_SOURCES):
        first_by_text.setdefault(mention.text, mention)
    urls: dict[str, None] = {}
    left_out: dict[str, None] = {}
    for mention in first_by_text.values():
        if url := source_url(mention.text):
            urls[url] = None
        else:
            left_out[reason_left_out(mention)] = None
    return Sources(list(urls), list(left_out))


def source_url(text: str) -> str | None:
    """The http or https address that a text is, without secrets, in the form of `file_url`; None for other texts."""
    address = web_address(text)
    if address is None or len(address) > MAX_ADDRESS_LENGTH:
        return None
    url = file_url(address)
    return url if len(url) <= MAX_ADDRESS_LENGTH else None


def is_relative(address: str) -> bool:
    """Whether an address has neither a scheme with a host nor a host alone: a path beside the document that has it."""
    return "://" not in address and not address.startswith("//")


def reason_left_out(mention: Mention) -> str:
    """The reason why a mention is no source."""
    shown = without_secrets(mention.text)
    shown = shown if len(shown) <= 100 else f"{shown[:100]}…"
    return f"{mention.property} {shown!r} is no web address of at most {MAX_ADDRESS_LENGTH:,} characters; left out."
