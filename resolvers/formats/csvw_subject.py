"""The dataset that a CSV-W document is about: its name, and what distinguishes it from others of that name."""

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qsl, unquote

from documents.catalogue.dataset import Subject
from resolvers.formats.json_ld import Node
from resolvers.formats.slugs import encoded_file_slug, file_slug, slug

EMPTY_NAMES = frozenset({
    "catalog-record", "code-list", "codelist", "concept-scheme", "csvqb", "dataset", "qbdataset", "schema", "scheme",
    "structure", "table", "tables",
})  # fmt: skip
"""Parts of an @id that name a part of the description, not the dataset."""

GENERAL_NAMES = EMPTY_NAMES | {
    "csv", "data", "download", "export", "file", "index", "metadata", "observations", "out", "output", "results",
}  # fmt: skip
"""File names that say nothing about the content."""

OTHER_PARAMETERS = frozenset({
    "_", "access_token", "api_key", "apikey", "cache", "cb", "expires", "key", "nocache", "rev", "revision", "sig",
    "signature", "t", "timestamp", "token", "ts", "v", "ver", "version",
})  # fmt: skip
"""Parameters of a URL that select a state of a file, or grant access to it."""

LOCATION = re.compile(r"(?:(?:[a-z][a-z0-9+.-]*:)?//([^/?#]*))?([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
ABSOLUTE = re.compile(r"(?:https?://|urn:)(?:[^/?#]*@)?(.+)", re.IGNORECASE | re.DOTALL)
LONGEST = 300
"""Characters kept of a value that distinguishes datasets; longer texts are hashed."""


def name_of(own: str | None, table: Node, named: list[Node], file_name: Callable[[str], str] = file_slug) -> str | None:
    """The name of a document's dataset: its own identifier, else the table's file, else what its @id ends in; a slug.

    The file comes before the @id because it is stable: over the histories of real documents the @id turns from `#table`
    to a URI and changes its base, and all code lists of a pipeline share the part before the `#`.
    """
    if own:
        return _last_name(own, file_name) or None
    if isinstance(url := table.get("url"), str) and (name := file_name(url)):
        return name
    return next((name for id in _ids(named) if (name := _last_name(id, file_name))), None)


def former_name_of(own: str | None, table: Node, named: list[Node]) -> str | None:
    """The name that earlier releases gave, with percent-encoding left in."""
    return name_of(own, table, named, encoded_file_slug)


def subject_of(own: str | None, table: Node, named: list[Node]) -> Subject:
    """The facts that distinguish a document's dataset from others of its name; empty if it has its own identifier."""
    if own:
        return Subject()
    if not isinstance(url := table.get("url"), str):
        return Subject(thing=_thing(named, None))
    host, path, query = LOCATION.match(url).groups()  # type: ignore[union-attr]  # It matches any text.
    return Subject(folder=_folder(host, path), query=_query(query or ""), thing=_thing(named, file_slug(url)))


def are_others(one: Subject, other: Subject, name: str) -> bool:
    """Whether two documents whose datasets have the same name are about different datasets.

    A missing value distinguishes nothing, and neither does a relative address from an absolute one.
    """
    if one.document is not None and other.document is not None and one.document != other.document:
        return True
    if one.folder is not None and other.folder is not None:
        if one.query != other.query:
            return True
        if one.folder.startswith("//") == other.folder.startswith("//") and one.folder != other.folder:
            return True
    return one.thing is not None and other.thing is not None and _are_other_things(one.thing, other.thing, name)


def longer_names(name: str, subject: Subject) -> list[str]:
    """Names for a dataset whose usual name is taken: with its folder and query, with its @id, with a hash."""
    located = slug(" ".join((subject.folder or "", name, subject.query or "")))
    parts = [part for part in (subject.thing or "").split("/") if part and part != name]
    identified = slug(f"{parts[-1]} {name}") if parts else name
    digest = hashlib.sha256(repr(subject).encode()).hexdigest()[:8]
    return [one for one in dict.fromkeys((located, identified, f"{name[:100]}-{digest}")) if one != name]


def _ids(nodes: Iterable[Node]) -> Iterator[str]:
    return (node["@id"] for node in nodes if isinstance(node.get("@id"), str))


def _last_name(id: str, file_name: Callable[[str], str]) -> str:
    """The last meaningful part of an id: `age` of `…/deaths#scheme/age/dataset`, `trade` of `trade#tables`."""
    if "/" not in id and "#" not in id:
        return slug(id)
    path, _, fragment = id.partition("#")
    telling = [part for part in map(slug, fragment.split("/")) if part and part not in EMPTY_NAMES]
    return telling[-1] if telling else file_name(path)


def _folder(host: str | None, path: str) -> str:
    """The folder of a table's file: `//host/folder` of an absolute address, `folder` of a relative one."""
    folder = posixpath.normpath(f"/{unquote(path).rpartition('/')[0]}").strip("/")
    return _bounded(folder if host is None else f"//{host.rpartition('@')[2].lower()}/{folder}")


def _query(query: str) -> str:
    said = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if _is_part_of_name(name.lower())]
    return _bounded("&".join(f"{name}={value}" for name, value in sorted(said)))


def _is_part_of_name(parameter: str) -> bool:
    return parameter not in OTHER_PARAMETERS and not parameter.startswith(("x-amz-", "x-goog-"))


def _thing(named: list[Node], file: str | None) -> str | None:
    """The absolute @id of the described dataset, in slugs: the one that ends in the file's name, else the first."""
    things = [thing for id in _ids(named) if (thing := _absolute(id))]
    return next((one for one in things if one.rpartition("/")[2] == file), things[0] if things else None)


def _absolute(id: str) -> str | None:
    if (absolute := ABSOLUTE.match(id.strip())) is None:
        return None
    path, _, fragment = absolute[1].partition("#")
    parts = [slug(unquote(part)) for part in re.split("[/?]", path)]
    parts += [part for part in map(slug, unquote(fragment).split("/")) if part not in EMPTY_NAMES]
    while len(parts) > 1 and parts[-1] in EMPTY_NAMES | {""}:
        parts.pop()
    return _bounded("/".join(part for part in parts if part)) or None


def _are_other_things(one: str, other: str, name: str) -> bool:
    """Whether two @ids name different datasets.

    Publishers move their @ids to other bases, as from `…/edvp/poverty-2020#scheme/age` to `…/energy/poverty-2020/age`.
    So where both end in a meaningful file name, only host and numbers such as years distinguish them.
    """
    (*base, last), (*other_base, other_last) = one.split("/"), other.split("/")
    if last == other_last == name and name not in GENERAL_NAMES:
        return base[:1] != other_base[:1] or _numbers(base) != _numbers(other_base)
    return one != other


def _numbers(parts: list[str]) -> list[str]:
    return [part for part in parts[1:] if part[0].isdigit()]


def _bounded(text: str) -> str:
    """The text as it can be stored: a hash if it is too long."""
    clean = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return clean if len(clean) <= LONGEST else f"sha256:{hashlib.sha256(clean.encode()).hexdigest()}"
