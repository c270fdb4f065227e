"""Publishers of documents: accepting names, and rejecting those that cannot be a publisher's."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from resolvers.formats.agent import Agent
from resolvers.formats.info_json import organisation_url
from resolvers.formats.slugs import slug
from resolvers.imports.catalogue.repositories import Repository
from resolvers.user_errors import InvalidInput
from resolvers.validators import MAX_LINE_LENGTH, MAX_URL_LENGTH

UNKNOWN_PUBLISHER = "urn:publisher:unknown"
MAX_NAME_LENGTH = 200
YEARS = re.compile(r"(-(to-)?[0-9]{2,4})+$")
EDITION = re.compile(r"[:,(–-][^:,()]*\b(19|20)[0-9]{2}\b[^:,()]*\)?$")
EMAIL = re.compile(r"(mailto:)?[^\s@]+@[^\s@]+\.[^\s@]+", re.IGNORECASE)
PLACEHOLDER_NAMES = frozenset({
    "n-a", "na", "nil", "none", "not-applicable", "not-available", "not-known", "null", "organisation", "organization",
    "publisher", "tba", "tbc", "tbd", "to-be-confirmed", "to-be-decided", "undefined", "unknown", "various",
})  # fmt: skip
"""Names that mean that there is no publisher."""


@dataclass(frozen=True)
class Organisation:
    """A publisher by its natural key; `assumed` if neither a document nor an info.json names it."""

    url: str
    name: str | None
    assumed: bool = False


class Titles:
    """The titles of imported documents and pipelines, none of which is a publisher's name."""

    def __init__(self, titles: Iterable[str | None]) -> None:
        self._titles = {_without_years(title) for title in titles if title} - {""}

    def __contains__(self, name: str) -> bool:
        return _without_years(name) in self._titles


def organisation_of(agent: Agent, titles: Titles) -> Organisation:
    """The organisation of an agent. Raises InvalidInput, with the reason, if it cannot be one."""
    if agent.address:
        if len(agent.address) > MAX_URL_LENGTH:
            raise InvalidInput(f"its address has more than {MAX_URL_LENGTH:,} characters")
        # An invalid name is left out: the address identifies the organisation.
        name = agent.name if agent.name and not _name_problem(agent.name, titles) else None
        return Organisation(organisation_url(agent.address), name and single_line(name))
    name = agent.name or ""
    if reason := _name_problem(name, titles):
        raise InvalidInput(reason)
    return Organisation(organisation_url(name), single_line(name))


def assumed_organisation(repository: Repository) -> Organisation:
    """The publisher to assume if none is named: the owner of the repository, else an unknown one."""
    if owner := repository.owner_url:
        return Organisation(owner, owner.rpartition("/")[2], assumed=True)
    return Organisation(UNKNOWN_PUBLISHER, None, assumed=True)


def _name_problem(name: str, titles: Titles) -> str | None:
    if not any(letter.isalpha() for letter in name) or not slug(name):
        return "it has no letter in it"
    if EMAIL.fullmatch(name):
        return "it is an e-mail address"
    if slug(name) in PLACEHOLDER_NAMES:
        return "it says that there is none"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has more than {MAX_NAME_LENGTH} characters"
    if name in titles or EDITION.search(name):
        return "it is the title of a dataset"
    return None


def _without_years(title: str) -> str:
    return YEARS.sub("", slug(title))


def single_line(text: str) -> str:
    """A text on one line, cut to the maximum length of a name or title."""
    return " ".join(re.sub(r"[\x00-\x1f]", " ", text).split())[:MAX_LINE_LENGTH].rstrip()
