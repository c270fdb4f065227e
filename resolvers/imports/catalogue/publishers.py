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

UNKNOWN = "urn:publisher:unknown"
MAX_NAME_LENGTH = 200
YEARS = re.compile(r"(-(to-)?[0-9]{2,4})+$")
EDITION = re.compile(r"[:,(–-][^:,()]*\b(19|20)[0-9]{2}\b[^:,()]*\)?$")
EMAIL = re.compile(r"(mailto:)?[^\s@]+@[^\s@]+\.[^\s@]+", re.IGNORECASE)
NOBODY = frozenset({
    "n-a", "na", "nil", "none", "not-applicable", "not-available", "not-known", "null", "organisation", "organization",
    "publisher", "tba", "tbc", "tbd", "to-be-confirmed", "to-be-decided", "undefined", "unknown", "various",
})  # fmt: skip
"""Names that mean that there is none."""


@dataclass(frozen=True)
class Organisation:
    """A publisher by its natural key; `assumed` when no document or info.json named it."""

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
        name = agent.name if agent.name and not _why_no_name(agent.name, titles) else None
        return Organisation(organisation_url(agent.address), name and _a_line(name))
    name = agent.name or ""
    if reason := _why_no_name(name, titles):
        raise InvalidInput(reason)
    return Organisation(organisation_url(name), _a_line(name))


def assumed_organisation(repository: Repository) -> Organisation:
    """The publisher when none is named: the owner of the repository, else an unknown one."""
    if owner := repository.owner_url:
        return Organisation(owner, owner.rpartition("/")[2], assumed=True)
    return Organisation(UNKNOWN, None, assumed=True)


def _why_no_name(name: str, titles: Titles) -> str | None:
    if not any(letter.isalpha() for letter in name) or not slug(name):
        return "it has no letter in it"
    if EMAIL.fullmatch(name):
        return "it is an e-mail address"
    if slug(name) in NOBODY:
        return "it says that there is none"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has more than {MAX_NAME_LENGTH} characters"
    if name in titles or EDITION.search(name):
        return "it is the title of a dataset"
    return None


def _without_years(title: str) -> str:
    return YEARS.sub("", slug(title))


def _a_line(name: str) -> str:
    """A name on one line, cut to its maximum length."""
    return " ".join(re.sub(r"[\x00-\x1f]", " ", name).split())[:MAX_LINE_LENGTH].rstrip()
