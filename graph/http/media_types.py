"""Media types of requests and answers, with their parameters, by RFC 9110, sections 8.3 and 12.5.1."""

import re
from collections.abc import Iterator
from functools import lru_cache

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
UTF_8 = ("utf-8", "utf8")
# A quoted text that never ends extends to the end, so that nothing is scanned twice.
IN_LIST = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.?)*"?)+', re.DOTALL)
IN_TYPE = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.?)*"?)+', re.DOTALL)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@lru_cache(maxsize=64)
def negotiate_media_type(accept: bytes | None) -> str | None:
    """The media type of the response, None when the client accepts neither. On equal terms the newer one is chosen."""
    newer, plain = _qualities(accept)
    if newer and newer >= plain:
        return GRAPHQL_JSON
    return JSON if plain else None


def accepts_json(accept: bytes | None) -> bool:
    """Whether a client accepts the older media type, even if it prefers the newer one."""
    return _qualities(accept)[1] > 0


def accepts_html(accept: bytes | None) -> bool:
    """Whether the client is a browser opening a page: it accepts HTML, which no client of the API does."""
    return any(name == "text/html" and quality for name, quality in _ranges(accept or b""))


@lru_cache(maxsize=64)
def is_json(content_type: bytes) -> bool:
    """Whether a body is JSON in UTF-8."""
    name, parameters = _media_type(content_type.decode("latin-1"))
    return name == JSON and all(value.lower() in UTF_8 for key, value in parameters if key == "charset")


def _qualities(accept: bytes | None) -> tuple[float, float]:
    """The client's preference for the newer media type, and for the older one."""
    ranges = dict(_ranges(accept or b"*/*"))
    wildcard = ranges.get("application/*", ranges.get("*/*", 0.0))
    return ranges.get(GRAPHQL_JSON, 0.0), ranges.get(JSON, wildcard)


def _ranges(accept: bytes) -> Iterator[tuple[str, float]]:
    return map(_range, IN_LIST.findall(accept.decode("latin-1")))


def _range(text: str) -> tuple[str, float]:
    name, parameters = _media_type(text)
    for key, value in parameters:
        if key == "q":
            try:
                return name, float(value)
            except ValueError:
                return name, 0.0
    return name, 1.0


def _media_type(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The name and parameters of a media type, with names in lower case and values without their quotes."""
    name, *parameters = IN_TYPE.findall(text) or [""]
    return name.strip().lower(), [_parameter(text) for text in parameters]


def _parameter(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    value = value.strip()
    if value.startswith('"'):
        value = ESCAPED.sub(r"\1", value[1:].removesuffix('"'))
    return key.strip().lower(), value
