"""The normal form of URLs of data that lies elsewhere. It holds no secrets, so they never reach the database."""

import re
from urllib.parse import unquote

from documents.storage.file_url import file_url, names_object
from documents.storage.url_secrets import OBJECT_STORES, without_secrets
from resolvers.user_errors import InvalidInput
from resolvers.validators import FORBIDDEN_CHARACTER, MAX_URL_LENGTH, check_location

SCHEMES = ("http", "https", *OBJECT_STORES)
NORMAL_URL = re.compile(r"(?:https?|gs|s3)://[^/?#\s]+(?:[/?].*)?", re.DOTALL)
# Of links by which files are shared: `rlkey` of Dropbox, `resourcekey` of Google, `authkey` of OneDrive.
SHARE_KEY = re.compile(r".+key|session|.*session_?id", re.DOTALL)


def check_external_url(value: str, *path: str) -> str:
    """The URL of a file or table in its normal form: that of `file_url`, and without keys of links that share a file.

    Only http, https, gs and s3. Raises InvalidInput.
    """
    scheme, separator, _ = value.strip().partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise InvalidInput(f"url must be an http, https, gs or s3 URL, not {_shown(value)}.", *path)
    try:
        url = without_share_keys(file_url(check_location(_without_signature(value.strip()), *path)))
    except ValueError as error:
        raise InvalidInput(f"url {_shown(value)} is not a URL.", *path) from error
    if len(url) > MAX_URL_LENGTH or not NORMAL_URL.fullmatch(url) or FORBIDDEN_CHARACTER.search(url):
        raise InvalidInput(f"url must be a URL of at most {MAX_URL_LENGTH:,} characters, not {_shown(value)}.", *path)
    return url


def external_url(value: str) -> str | None:
    """The URL in its normal form, None for a text that is no URL of data that lies elsewhere."""
    try:
        return check_external_url(value, "url")
    except InvalidInput:
        return None


def without_query(url: str) -> str:
    """A URL in its normal form without its query. Names of objects in buckets have none."""
    return url if names_object(url) else url.partition("?")[0]


def without_share_keys(url: str) -> str:
    """A URL in its normal form without the parameters that let anybody read a shared file."""
    base, query, parameters = url.partition("?")
    if names_object(url) or not query:
        return url
    kept = "&".join(pair for pair in parameters.split("&") if not _is_share_key(pair))
    return f"{base}?{kept}" if kept else base


def _is_share_key(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return bool(value) and SHARE_KEY.fullmatch(unquote(name).lower()) is not None


def _without_signature(url: str) -> str:
    """The URL; that of an object without a signature, which is not a part of its name although it follows it."""
    if not names_object(url):
        return url
    name, mark, query = url.partition("?")
    web_address = f"https://host/{mark}{query}"
    return url if without_share_keys(without_secrets(web_address)) == web_address else name


def _shown(value: str) -> str:
    """The beginning of a URL, as an error may repeat it: without its query, which may be a secret."""
    return repr(without_secrets(value.strip()).partition("?")[0][:100])
