"""One spelling for the URLs of files and directories, and which directories a file is below."""

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

MOST_LEVELS = 100
"""Directories above a file that are looked for, counted from the top."""

GOOGLE_HOSTS = ("storage.googleapis.com", "storage.cloud.google.com")
"""Where objects of buckets have web addresses, which mean the same as gs:// ones."""

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}", re.ASCII)
"""What buckets are called."""
# RFC 3986, section 3.3: what a path may hold as it is, beside letters, digits and "-._~".
KEPT = "!$&'()*+,;=:@"
USUAL_PORTS = {"http": ":80", "https": ":443"}


def file_url(url: str) -> str:
    """The URL as all its spellings are written here.

    Scheme and host are in lower case; user, password, usual port and fragment are gone; percent-encoding is that of
    RFC 3986 and no more than needed; `.` and `..` are resolved; and the web addresses of objects in Google's buckets
    are gs:// ones. Names of objects in gs:// know no query and no `..`.
    """
    base, path, query = _parts(url)
    return f"{base}{path}{query}"


def directory_url(url: str) -> str:
    """The URL as `file_url` writes it, its path ending in a slash."""
    base, path, query = _parts(url)
    return f"{base}{path if path.endswith('/') else f'{path}/'}{query}"


def directories_above(file: str) -> list[str]:
    """Every directory that a file is below, as `directory_url` writes them; `file` is as `file_url` writes it.

    A directory is not below itself. Where the file has a query, directories stand there with it and without.
    """
    parts = urlsplit(file)
    base, names = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/").split("/")[:-1]
    if not parts.netloc:
        return []
    above = [f"{base}{'/'.join(names[: level + 1])}/" for level in range(min(len(names), MOST_LEVELS))]
    return above + [f"{directory}?{parts.query}" for directory in above if parts.query]


def is_directory(file: str) -> bool:
    """Whether the URL, as `file_url` writes it, names a directory: some tools keep empty objects in their place."""
    return urlsplit(file).path.endswith("/")


def object_url(bucket: str, name: str) -> str:
    """The URL of an object, whose name may hold any character."""
    return f"gs://{bucket}/{quote(name.encode(errors='replace'), safe=KEPT + '/')}"


def _parts(url: str) -> tuple[str, str, str]:
    """What stands before the path, the path, and the query with its question mark."""
    parts = urlsplit(url.encode(errors="replace").decode())
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(USUAL_PORTS.get(parts.scheme, ":"))
    query = f"?{parts.query}" if parts.query else ""
    bucket, name = _object_at(host, parts.path) if parts.scheme in USUAL_PORTS else ("", "")
    if BUCKET.fullmatch(bucket):
        return f"gs://{bucket}", _flat(name), ""
    if parts.scheme == "gs":
        return f"gs://{host}", _flat(parts.path + query), ""
    if not host:
        return f"{parts.scheme}:", _flat(parts.path), query
    return f"{parts.scheme}://{host}", _resolved(parts.path), query


def _object_at(host: str, path: str) -> tuple[str, str]:
    """Bucket and path of the object at a web address of Google's; no bucket when it is another's."""
    if host in GOOGLE_HOSTS:
        bucket, slash, name = path.removeprefix("/").partition("/")
        return bucket, slash + name
    bucket = host.removesuffix(f".{GOOGLE_HOSTS[0]}")
    return (bucket, path) if bucket != host else ("", "")


def _flat(path: str) -> str:
    """A path whose slashes are signs like others."""
    return quote(unquote_to_bytes(path), safe=KEPT + "/") or "/"


def _resolved(path: str) -> str:
    """A path of names, without `.` and `..`."""
    kept: list[str] = []
    names = [quote(unquote_to_bytes(name), safe=KEPT) for name in path.split("/")]
    for name in names:
        if name == ".." and len(kept) > 1:
            kept.pop()
        if name not in (".", ".."):
            kept.append(name)
    if names[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept) or "/"
