"""The canonical spelling of the URLs of files and directories, and the directories above a file."""

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

from documents.storage.url_secrets import OBJECT_STORES, without_secrets

MAX_LEVELS = 100
"""Directories above a file that are considered, counted from the top."""
MAX_OBJECT_NAME_BYTES = 1_024
"""Maximum length of an object's name in the buckets of Google and Amazon."""

GOOGLE_HOSTS = ("storage.googleapis.com", "storage.cloud.google.com")
"""Hosts of the web addresses of objects in buckets, which are equivalent to gs:// URLs."""
GOOGLE_APIS = ("www.googleapis.com", GOOGLE_HOSTS[0])
"""Hosts of an object's `selfLink` and `mediaLink`."""
API_PATH = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)(?:/o(?:/(.*))?)?", re.DOTALL)

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{0,221}", re.ASCII)
"""Names of buckets. Google's have three characters and more; emulators take any."""
# RFC 3986, section 3.3: characters that a path may hold unencoded, besides letters, digits and "-._~".
UNENCODED = "!$&'()*+,;=:@"
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def file_url(url: str) -> str:
    """The canonical spelling of a URL.

    Scheme and host are in lower case; user, password, other credentials, default port and fragment are removed;
    percent-encoding is that of RFC 3986 and no more than needed; and `.` and `..` are resolved.

    Objects of buckets are written with their names as they are: in `gs://bucket/50%20#1?.csv` all that follows the
    bucket is the name. Web addresses of objects in Google's buckets are gs:// ones.
    """
    base, path, query = _parts(url)
    return f"{base}{path}{query}"


def directory_url(url: str) -> str:
    """The URL as `file_url` writes it, its path ending in a slash."""
    base, path, query = _parts(url)
    return f"{base}{path if path.endswith('/') else f'{path}/'}{query}"


def directories_above(file: str) -> list[str]:
    """Every directory that a file is below, as `directory_url` writes them; `file` is as `file_url` writes it.

    A directory is not below itself. Where the file has a query, directories are listed with it and without.
    """
    base, path, query = _split(file)
    names = path.rstrip("/").split("/")[:-1]
    if base.endswith(":"):
        return []
    above = [f"{base}{'/'.join(names[: level + 1])}/" for level in range(min(len(names), MAX_LEVELS))]
    return above + [f"{directory}{query}" for directory in above if query]


def is_directory(file: str) -> bool:
    """Whether the URL, as `file_url` writes it, names a directory: some tools store empty objects as directories."""
    return _split(file)[1].endswith("/")


def names_object(url: str) -> bool:
    """Whether the URL names a bucket or an object in it, such as gs://bucket/name."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.lower() in OBJECT_STORES


def object_name(url: str) -> str:
    """The name of the object that the URL names, decoded."""
    return url.partition("://")[2].partition("/")[2]


def is_object_name(name: str) -> bool:
    """Whether Google allows an object of this name: https://cloud.google.com/storage/docs/objects#naming."""
    try:
        return 1 <= len(name.encode()) <= MAX_OBJECT_NAME_BYTES and not re.search("[\0\r\n]", name)
    except UnicodeEncodeError:
        return False


def object_url(bucket: str, name: str) -> str:
    """The URL of an object in a Google bucket, whose name may hold any character."""
    return f"gs://{bucket}/{name}"


def _parts(url: str) -> tuple[str, str, str]:
    """The part before the path, the path, and the query with its question mark."""
    if names_object(url):
        scheme, _, rest = url.partition("://")
        bucket, _, name = rest.partition("/")
        return f"{OBJECT_STORES[scheme.lower()]}://{bucket.rpartition('@')[2].lower()}", f"/{name}", ""
    parts = urlsplit(without_secrets(url.encode(errors="replace").decode()))
    host = parts.netloc.lower().removesuffix(DEFAULT_PORTS.get(parts.scheme, ":"))
    query = f"?{parts.query}" if parts.query else ""
    if parts.scheme in DEFAULT_PORTS:
        # An address may turn out to be an object's only after `.` and `..` are resolved; in names both are literal.
        for path in (parts.path, _resolve_dots(parts.path)):
            bucket, name = _object_at(host, path)
            if bucket:
                return f"gs://{bucket}", name, ""
    if not host:
        return f"{parts.scheme}:", quote(unquote_to_bytes(parts.path), safe=UNENCODED + "/") or "/", query
    return f"{parts.scheme}://{host}", _resolve_dots(parts.path), query


def _split(url: str) -> tuple[str, str, str]:
    """The parts of a URL that `file_url` wrote, as `_parts` returns them."""
    if names_object(url):
        base, _, name = url.partition("://")[2].partition("/")
        return f"{url.partition('://')[0]}://{base}", f"/{name}", ""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    return base, parts.path, f"?{parts.query}" if parts.query else ""


def _object_at(host: str, path: str) -> tuple[str, str]:
    """Bucket and path of the object at one of Google's web addresses; both empty for other addresses."""
    bucket, path = _encoded_object_at(host, path)
    try:
        name = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return "", ""
    return (bucket, name or "/") if BUCKET.fullmatch(bucket) else ("", "")


def _encoded_object_at(host: str, path: str) -> tuple[str, str]:
    if host in GOOGLE_APIS and (link := API_PATH.fullmatch(path)):
        return link[1], f"/{link[2] or ''}"
    if host in GOOGLE_HOSTS:
        bucket, slash, name = path.removeprefix("/").partition("/")
        return bucket, slash + name
    bucket = host.removesuffix(f".{GOOGLE_HOSTS[0]}")
    return (bucket, path) if bucket != host else ("", "")


def _resolve_dots(path: str) -> str:
    """The path with `.` and `..` resolved, as RFC 3986 says in section 5.2.4, and its names encoded canonically."""
    resolved: list[str] = []
    names = [quote(unquote_to_bytes(name), safe=UNENCODED) for name in path.split("/")]
    for name in names:
        if name == ".." and len(resolved) > 1:
            resolved.pop()
        if name not in (".", ".."):
            resolved.append(name)
    if names[-1] in (".", ".."):
        resolved.append("")
    return "/".join(resolved) or "/"
