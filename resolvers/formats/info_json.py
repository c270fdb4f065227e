"""info.json: a pipeline's description of its source, publisher and family.

The format is that of https://gss-cogs.github.io/family-schemas/dataset-schema.json; older ones use the column names of
an Airtable base ("Landing Page", "Producer") or snake_case ("landing_page", "dataset_id").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from resolvers.formats.agent import Agent, address_in, agents, read_link
from resolvers.formats.dates import instant
from resolvers.formats.json_text import first_text, read_object, storable, texts
from resolvers.formats.slugs import file_slug, slug, web_address
from resolvers.user_errors import InvalidInput

NOUN = "info.json"
MAX_BYTES = 1_000_000
MAX_LISTED = 100


class InfoKind(StrEnum):
    """The format of an info.json."""

    PIPELINE = "pipeline"
    AIRTABLE = "airtable"


@dataclass(frozen=True)
class Info:
    """The content of a pipeline's info.json. `published` is UTC, and None when it is missing or no date."""

    kind: InfoKind
    identifier: str | None
    title: str
    publisher: str | None
    landing_pages: list[str]
    description: str | None
    published: datetime | None
    families: list[str]
    publisher_address: str | None = None


def read_info(text: str) -> Info:
    """Read a pipeline's info.json. Raises InvalidInput if it is malformed, or describes a whole family of pipelines."""
    info = read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    title = first_text(info.get("title"), info.get("Name"))
    if title is None:
        raise InvalidInput(_why_not(info), "title")
    publisher = next(agents(info.get("publisher") or info.get("Producer")), Agent(None, None))
    return Info(
        kind=InfoKind.PIPELINE if "title" in info else InfoKind.AIRTABLE,
        identifier=_identifier(info),
        title=title,
        publisher=publisher.name or publisher.address,
        publisher_address=publisher.address,
        landing_pages=_landing_pages(info),
        description=first_text(info.get("description"), info.get("Description")),
        published=_published(info),
        families=_listed(texts(info.get("families")), texts(info.get("themes")), texts(info.get("Family"))),
    )


def organisation_url(publisher: str) -> str:
    """The natural key of an organisation, from a publisher's spelling of its name. Equal words give equal keys.

    * An http address stays, but for the case of its host and a closing slash. That of a link in Markdown is one.
    * A name is reduced to words: case, spaces, punctuation, apostrophes, a leading "The" and a closing acronym in
      brackets do not count, `&` is "and", "Her Majesty's" and "His Majesty's" are "HM".
    * A name that begins as those of the British government do (Department, Ministry, Office for or of, HM, Home,
      Cabinet or Foreign Office) or ends in "England", and mentions none of the other nations and islands, gets the
      address that GOV.UK makes of such names, `https://www.gov.uk/government/organisations/<words>`. GOV.UK left the
      "and" out of some addresses of bodies that spell themselves with "&"; those are listed here.
    * Every other name becomes `urn:publisher:<words>`: an address on GOV.UK would be a guess at a page that is not
      there. Abbreviations (ONS, MHCLG) and typing errors are not resolved, because that takes a list.

    InvalidInput for a name without a letter or a digit.
    """
    said = read_link(publisher)
    return said.address.rstrip("/") if said.address else _url_of_name(said.name or "")


def former_organisation_url(publisher: str) -> str | None:
    """The key that earlier releases, which did not parse links, made of the text; None where they made none."""
    if address := web_address(publisher):
        return address.rstrip("/")
    try:
        return _url_of_name(storable(publisher))
    except InvalidInput:
        return None


def written_publisher(text: str) -> str | None:
    """The publisher as an info.json writes it."""
    info = read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    name = first_text(info.get("publisher"), info.get("Producer"))
    return " ".join(name.split()) if name else None


def _url_of_name(publisher: str) -> str:
    words = slug(ACRONYM.sub("", publisher).replace("&", " and ")) or slug(publisher)
    if not words:
        raise InvalidInput(f"A publisher needs a name, and {publisher[:80]!r} has no letter in it.", "publisher")
    words = MAJESTY.sub("hm-", words.removeprefix("the-") or words)
    if BRITISH.match(words) and not ELSEWHERE.search(words):
        return f"https://www.gov.uk/government/organisations/{GOV_UK_WITHOUT_AND.get(words, words)}"
    return f"urn:publisher:{quote(words)}"


ACRONYM = re.compile(r"\s*\([A-Z][A-Za-z0-9&]{1,9}\)\s*$")
MAJESTY = re.compile(r"^(her|his)-majestys-")
BRITISH = re.compile(
    r"(department|ministry)-(for|of)-|office-(for|of)-|hm-|(home|cabinet|foreign)(-[a-z-]+)?-office$|[a-z-]+(?<!-of)-england$"
)
ELSEWHERE = re.compile(r"\b(northern-ireland|ni|scotland|scottish|wales|welsh|ireland|guernsey|jersey|isle-of-man)\b")
GOV_UK_WITHOUT_AND = {
    words: words.replace("-and-", "-")
    for words in (
        "department-for-business-innovation-and-skills",
        "department-for-digital-culture-media-and-sport",
        "department-for-environment-food-and-rural-affairs",
        "department-of-energy-and-climate-change",
        "foreign-and-commonwealth-office",
        "hm-revenue-and-customs",
    )
}
"""Bodies whose GOV.UK address lacks the "and" of their name."""


def _why_not(info: dict[str, Any]) -> str:
    if isinstance(info.get("pipelines"), list):
        family = first_text(info.get("family")) or "a family"
        return (
            f"This {NOUN} lists the {len(info['pipelines'])} pipelines of {family}; it does not describe one of them."
        )
    return f"This {NOUN} has no title."


def _identifier(info: dict[str, Any]) -> str | None:
    """`id` or `dataset_id` as written, else the last part of `dataset_uri`; None where all are missing."""
    if own := first_text(info.get("id"), info.get("dataset_id")):
        return own
    uri = first_text(info.get("dataset_uri"))
    return file_slug(uri) or None if uri else None


def _landing_pages(info: dict[str, Any]) -> list[str]:
    """The landing pages; the oldest format has `metaURL` and `dataURL` instead."""
    for key in ("landingPage", "landing_page", "Landing Page", "metaURL", "dataURL"):
        if pages := _listed(address for text in texts(info.get(key)) if (address := address_in(text))):
            return pages
    return []


def _published(info: dict[str, Any]) -> datetime | None:
    written = first_text(info.get("published"), info.get("Last Published"))
    return instant(written) if written else None


def _listed(*parts: Iterator[str]) -> list[str]:
    """The non-blank parts, without repeats."""
    for part in parts:
        if found := list(dict.fromkeys(part))[:MAX_LISTED]:
            return found
    return []
