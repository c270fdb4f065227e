"""The sources that an info.json names: files and pages from which its pipeline takes data."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from resolvers.formats.json_text import storable_text, texts
from resolvers.formats.slugs import web_address
from resolvers.formats.sources import Mention, Sources, read_sources

LANDING_PAGES = ("landingPage", "landing_page", "Landing Page", "metaURL")
"""Properties whose addresses are those of pages where data is offered, not of data."""

# An address ends before the next one of a list, and at characters that must be encoded in it.
LINK = re.compile(r"https?://(?:(?![,;]https?://)[^\s<>\[\]\"`{}|\\^])+", re.IGNORECASE)
DATA_FILE = re.compile(r"\.(?:csv|xlsx?|ods|zip)", re.IGNORECASE)
MAX_SEARCHED_LENGTH = 5_000
"""Characters of a text that are searched for links."""
MAX_TEXTS = 20_000
"""Texts that are searched for links."""


def sources_of_info(info: dict[str, Any]) -> Sources:
    """The sources that a parsed info.json names: `dataURL`, the sources of its stages, then links to data files.

    `transform.transformStage` lists stages, each with a `source` such as `[{"https://host/table.xls": "Sheet 1"}]`.
    Landing pages are no sources.
    """
    return read_sources(chain(_data_urls(info), _sources_of_stages(info), _links_to_data_files(info)))


def _data_urls(info: dict[str, Any]) -> Iterator[Mention]:
    return (Mention("dataURL", text) for text in texts(info.get("dataURL")))


def _sources_of_stages(info: dict[str, Any]) -> Iterator[Mention]:
    transform = info.get("transform")
    stages = transform.get("transformStage") if isinstance(transform, dict) else None
    for stage in stages if isinstance(stages, list) else [stages]:
        source = stage.get("source") if isinstance(stage, dict) else None
        for entry in source if isinstance(source, list) else [source]:
            for text in _texts_of_source(entry):
                yield Mention("transformStage.source", text)


def _texts_of_source(entry: object) -> Iterator[str]:
    """The text itself, or the addresses among the keys and values of an object, else all its keys."""
    if isinstance(entry, dict):
        parts = [part for item in entry.items() for part in item if isinstance(part, str)]
        entry = [part for part in parts if web_address(part)] or list(entry)
    return texts(entry)


def _links_to_data_files(info: dict[str, Any]) -> Iterator[Mention]:
    """Links to spreadsheets, CSV files and ZIP archives in any text outside of landing pages."""
    members = {name: value for name, value in info.items() if name not in LANDING_PAGES}
    for text in _all_texts(members):
        for match in LINK.finditer(storable_text(text)[:MAX_SEARCHED_LENGTH]):
            address = match[0].rstrip(".,;:!')" if "(" not in match[0] else ".,;:!'")
            if _is_data_file(address):
                yield Mention("link", address)


def _all_texts(value: object) -> Iterator[str]:
    """The texts within a JSON value, in their order, names of properties included."""
    remaining: list[object] = [value]
    for _ in range(MAX_TEXTS):
        if not remaining:
            return
        value = remaining.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            remaining += [part for item in reversed(value.items()) for part in reversed(item)]
        elif isinstance(value, list):
            remaining += reversed(value)


def _is_data_file(address: str) -> bool:
    """Whether the path of an address, or a parameter, ends like the name of a data file."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    names = [unquote(parts.path), *(value for _, value in parse_qsl(parts.query))]
    return any(DATA_FILE.fullmatch(name[name.rfind(".") :]) for name in names if "." in name)
