"""info.json: a pipeline's description of its source, publisher and family.

The format is that of https://gss-cogs.github.io/family-schemas/dataset-schema.json; older ones use the column names of
an Airtable base ("Landing Page", "Producer") or snake_case ("landing_page", "dataset_id").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from resolvers.formats.agent import Agent, address_in, agents, read_link
from resolvers.formats.dates import instant
from resolvers.formats.info_json_sources import sources_of_info
from resolvers.formats.json_text import first_text, read_object, storable_text, texts
from resolvers.formats.slugs import file_slug, slug, web_address
from resolvers.formats.sources import Sources
from resolvers.user_errors import InvalidInput

NOUN = "info.json"
MAX_BYTES = 1_000_000
MAX_VALUES = 100


class InfoKind(StrEnum):
    """The format of an info.json."""

    PIPELINE = "pipeline"
    AIRTABLE = "airtable"


@dataclass(frozen=True)
class Info:
    """A pipeline as its info.json describes it. `published` is UTC, and None if it is missing or not a date."""

    kind: InfoKind
    identifier: str | None
    title: str
    publisher: str | None
    landing_pages: list[str]
    description: str | None
    published: datetime | None
    families: list[str]
    publisher_address: str | None = None
    sources: Sources = field(default_factory=Sources)


def read_info(text: str) -> Info:
    """Parse a pipeline's info.json. Raises InvalidInput if it is malformed or describes a whole family of pipelines."""
    info = read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    title = first_text(info.get("title"), info.get("Name"))
    if title is None:
        raise InvalidInput(_missing_title_message(info), "title")
    publisher = next(agents(info.get("publisher") or info.get("Producer")), Agent(None, None))
    return Info(
        kind=InfoKind.PIPELINE if "title" in info else InfoKind.AIRTABLE,
        identifier=_identifier(info),
        title=title,
        publisher=publisher.name or publisher.address,
        publisher_address=publisher.address,
        landing_pages=_landing_pages(info),
        description=first_text(info.get("description"), info.get("Description")),
        published=_publication_time(info),
        families=_first_values(texts(info.get("families")), texts(info.get("themes")), texts(info.get("Family"))),
        sources=sources_of_info(info),
    )


def organisation_url(publisher: str) -> str:
    """The natural key of an organisation, from a publisher's spelling of its name. Equal words give equal keys.

    * An http address is kept, also that of a Markdown link, with its host in lower case and without a final slash.
    * A name is reduced to words: case, spaces, punctuation, apostrophes, a leading "The" and a final acronym in
      brackets are ignored, `&` is "and", "Her Majesty's" and "His Majesty's" are "HM".
    * A name that begins like those of British government bodies (Department, Ministry, Office for or of, HM, Home,
      Cabinet or Foreign Office) or ends in "England", and mentions none of the other nations and islands, gets the
      address that GOV.UK makes of such names, `https://www.gov.uk/government/organisations/<words>`. GOV.UK left the
      "and" out of the addresses of some bodies that spell themselves with "&"; those are listed here.
    * Every other name becomes `urn:publisher:<words>`, because an address on GOV.UK would be a guess at a page that
      does not exist. Abbreviations (ONS, MHCLG) and typing errors are not resolved: that would take a list.

    Raises InvalidInput for a name without a letter or a digit.
    """
    link = read_link(publisher)
    return link.address.rstrip("/") if link.address else _url_of_name(link.name or "")


def former_organisation_url(publisher: str) -> str | None:
    """The key that earlier releases, which did not parse Markdown links, made of the text; None if they made none."""
    if address := web_address(publisher):
        return address.rstrip("/")
    try:
        return _url_of_name(storable_text(publisher))
    except InvalidInput:
        return None


def publisher_text(text: str) -> str | None:
    """The name of the publisher exactly as an info.json spells it, without repeated spaces."""
    info = read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    name = first_text(info.get("publisher"), info.get("Producer"))
    return " ".join(name.split()) if name else None


def _url_of_name(publisher: str) -> str:
    words = slug(ACRONYM.sub("", publisher).replace("&", " and ")) or slug(publisher)
    if not words:
        raise InvalidInput(
            f"A publisher needs a name, and {publisher[:80]!r} has no letter or digit in it.", "publisher"
        )
    words = HIS_OR_HER_MAJESTY.sub("hm-", words.removeprefix("the-") or words)
    if BRITISH_BODY.match(words) and not OTHER_NATIONS.search(words):
        return f"https://www.gov.uk/government/organisations/{GOV_UK_WITHOUT_AND.get(words, words)}"
    return f"urn:publisher:{quote(words)}"


ACRONYM = re.compile(r"\s*\([A-Z][A-Za-z0-9&]{1,9}\)\s*$")
HIS_OR_HER_MAJESTY = re.compile(r"^(her|his)-majestys-")
BRITISH_BODY = re.compile(
    r"(department|ministry)-(for|of)-|office-(for|of)-|hm-|(home|cabinet|foreign)(-[a-z-]+)?-office$|[a-z-]+(?<!-of)-england$"
)
OTHER_NATIONS = re.compile(
    r"\b(northern-ireland|ni|scotland|scottish|wales|welsh|ireland|guernsey|jersey|isle-of-man)\b"
)
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


def _missing_title_message(info: dict[str, Any]) -> str:
    if isinstance(info.get("pipelines"), list):
        family = first_text(info.get("family")) or "a family"
        return (
            f"This {NOUN} lists the {len(info['pipelines'])} pipelines of {family}; it does not describe one of them."
        )
    return f"This {NOUN} has no title."


def _identifier(info: dict[str, Any]) -> str | None:
    """`id` or `dataset_id` as written, else the last part of `dataset_uri`; None if all are missing."""
    if own := first_text(info.get("id"), info.get("dataset_id")):
        return own
    uri = first_text(info.get("dataset_uri"))
    return file_slug(uri) or None if uri else None


def _landing_pages(info: dict[str, Any]) -> list[str]:
    """The landing pages, which the oldest format calls `metaURL` and `dataURL`."""
    for key in ("landingPage", "landing_page", "Landing Page", "metaURL", "dataURL"):
        if pages := _first_values(address for text in texts(info.get(key)) if (address := address_in(text))):
            return pages
    return []


def _publication_time(info: dict[str, Any]) -> datetime | None:
    text = first_text(info.get("published"), info.get("Last Published"))
    return instant(text) if text else None


def _first_values(*parts: Iterator[str]) -> list[str]:
    """The distinct values of the first part that has any."""
    for part in parts:
        if values := list(dict.fromkeys(part))[:MAX_VALUES]:
            return values
    return []
