"""The normal form of URLs of data that lies elsewhere. It holds no secrets, so they never reach the database."""

import re
from urllib.parse import unquote

from documents.storage.file_url import file_url, names_object
from documents.storage.url_secrets import OBJECT_STORES, without_secrets
from resolvers.user_errors import InvalidInput
from resolvers.validators import FORBIDDEN_CHARACTER, MAX_URL_LENGTH, check_location

SCHEMES = ("http", "https", *OBJECT_STORES)
NORMAL_URL = re.compile(r"(?:https?|gs|s3)://[^/?#\s]+(?:[/?].*)?", re.DOTALL)
# Of links by which files are shared: `rlkey` of Dropbox, `resourcekey` of Google, `authkey` of OneDrive. Of sessions:
# `PHPSESSID`, `sid`, and the `ticket` of CAS.
SHARE_KEY = re.compile(r".+key|pass|bearer|ticket|sid|session|.*sess(ion)?_?id", re.DOTALL)
# Servlets write sessions into the path: https://host/data;jsessionid=1A2B.
SESSION_IN_PATH = re.compile(r";jsessionid=[^/?#;]*", re.IGNORECASE)


def check_external_url(value: str, *path: str) -> str:
    """The URL of a file or table in its normal form: that of `file_url`, and without keys of links that share a file.

    Only http, https, gs and s3. Raises InvalidInput.
    """
    scheme, separator, _ = value.strip().partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise InvalidInput(f"url must be an http, https, gs or s3 URL, not {_excerpt(value)}.", *path)
    try:
        url = without_share_keys(file_url(check_location(_without_signature(value.strip()), *path)))
        # A web address may turn out to be that of an object.
        url = _without_signature(url)
    except ValueError as error:
        raise InvalidInput(f"url {_excerpt(value)} is not a URL.", *path) from error
    if len(url) > MAX_URL_LENGTH or not NORMAL_URL.fullmatch(url) or FORBIDDEN_CHARACTER.search(url):
        raise InvalidInput(f"url must be a URL of at most {MAX_URL_LENGTH:,} characters, not {_excerpt(value)}.", *path)
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
    if names_object(url):
        return url
    base, _, parameters = url.partition("?")
    base = SESSION_IN_PATH.sub("", base)
    # A semicolon separates parameters as well, but also the parts of a value.
    kept = "&".join(pair for pair in parameters.split("&") if not any(map(_is_secret, pair.split(";"))))
    return f"{base}?{kept}" if kept else base


def _is_secret(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    # Some clients encode names twice, or write `token[]`.
    plain = unquote(unquote(name)).lower().partition("[")[0]
    is_credential = without_secrets(f"https://host/?{plain}=1") != f"https://host/?{plain}=1"
    return bool(value) and (is_credential or SHARE_KEY.fullmatch(plain) is not None)


def _without_signature(url: str) -> str:
    """The URL; that of an object without a signature, which is not a part of its name although it follows it."""
    if not names_object(url):
        return url
    name, mark, query = url.partition("?")
    web_address = f"https://host/{mark}{query}"
    return url if without_share_keys(without_secrets(web_address)) == web_address else name


def _excerpt(value: str) -> str:
    """The beginning of a URL, as an error may repeat it: without its query, which may be a secret."""
    return repr(without_secrets(value.strip()).partition("?")[0][:100])
