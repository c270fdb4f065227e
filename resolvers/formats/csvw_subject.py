"""The dataset that a CSV-W document describes: its name, and the facts that distinguish it from its namesakes."""

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

GENERIC_NAMES = EMPTY_NAMES | {
    "csv", "data", "download", "export", "file", "index", "metadata", "observations", "out", "output", "results",
}  # fmt: skip
"""File names that say nothing about the content."""

STATE_PARAMETERS = frozenset({
    "_", "access_token", "api_key", "apikey", "cache", "cb", "expires", "key", "nocache", "rev", "revision", "sig",
    "signature", "t", "timestamp", "token", "ts", "v", "ver", "version",
})  # fmt: skip
"""URL parameters that select a state of a file or grant access to it, so they do not identify the file."""

LOCATION = re.compile(r"(?:(?:[a-z][a-z0-9+.-]*:)?//([^/?#]*))?([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
ABSOLUTE_ID = re.compile(r"(?:https?://|urn:)(?:[^/?#]*@)?(.+)", re.IGNORECASE | re.DOTALL)
MAX_VALUE_LENGTH = 300
"""Characters of a stored value that distinguishes datasets; a longer one is replaced by its hash."""


def name_of(own: str | None, table: Node, nodes: list[Node], file_name: Callable[[str], str] = file_slug) -> str | None:
    """The slug of a document's dataset: of its identifier, else of the table's file name, else of the end of its @id.

    The file name goes before the @id because it is stable: in the histories of real documents the @id turns from
    `#table` into a URI and changes its base, and all code lists of a pipeline share the part before the `#`.
    """
    if own:
        return _last_name(own, file_name) or None
    if isinstance(url := table.get("url"), str) and (name := file_name(url)):
        return name
    return next((name for id in _ids(nodes) if (name := _last_name(id, file_name))), None)


def former_name_of(own: str | None, table: Node, nodes: list[Node]) -> str | None:
    """The name that earlier releases gave the dataset: they did not decode percent-encoding."""
    return name_of(own, table, nodes, encoded_file_slug)


def subject_of(own: str | None, table: Node, nodes: list[Node]) -> Subject:
    """The facts that distinguish a document's dataset from its namesakes; empty if it has an identifier of its own."""
    if own:
        return Subject()
    if not isinstance(url := table.get("url"), str):
        return Subject(thing=_thing(nodes, None))
    host, path, query = LOCATION.match(url).groups()  # type: ignore[union-attr]  # It matches any text.
    return Subject(folder=_folder(host, path), query=_query(query or ""), thing=_thing(nodes, file_slug(url)))


def are_different_datasets(first: Subject, second: Subject, name: str) -> bool:
    """Whether two documents whose datasets share a name describe different datasets.

    Values that one of them lacks are not compared, nor are relative addresses with absolute ones.
    """
    if first.document is not None and second.document is not None and first.document != second.document:
        return True
    if first.folder is not None and second.folder is not None:
        if first.query != second.query:
            return True
        if first.folder.startswith("//") == second.folder.startswith("//") and first.folder != second.folder:
            return True
    return (
        first.thing is not None and second.thing is not None and _are_different_things(first.thing, second.thing, name)
    )


def longer_names(name: str, subject: Subject) -> list[str]:
    """Alternatives for a name that is taken: with the folder and query, with a part of the @id, with a hash."""
    located = slug(" ".join((subject.folder or "", name, subject.query or "")))
    parts = [part for part in (subject.thing or "").split("/") if part and part != name]
    identified = slug(f"{parts[-1]} {name}") if parts else name
    digest = hashlib.sha256(repr(subject).encode()).hexdigest()[:8]
    candidates = dict.fromkeys((located, identified, f"{name[:100]}-{digest}"))
    return [candidate for candidate in candidates if candidate != name]


def _ids(nodes: Iterable[Node]) -> Iterator[str]:
    return (node["@id"] for node in nodes if isinstance(node.get("@id"), str))


def _last_name(id: str, file_name: Callable[[str], str]) -> str:
    """The last meaningful part of an id: `age` of `…/deaths#scheme/age/dataset`, `trade` of `trade#tables`."""
    if "/" not in id and "#" not in id:
        return slug(id)
    path, _, fragment = id.partition("#")
    meaningful = [part for part in map(slug, fragment.split("/")) if part and part not in EMPTY_NAMES]
    return meaningful[-1] if meaningful else file_name(path)


def _folder(host: str | None, path: str) -> str:
    """The folder of a table's file: `//host/folder` of an absolute address, `folder` of a relative one."""
    folder = posixpath.normpath(f"/{unquote(path).rpartition('/')[0]}").strip("/")
    return _storable_value(folder if host is None else f"//{host.rpartition('@')[2].lower()}/{folder}")


def _query(query: str) -> str:
    pairs = [
        (name, value) for name, value in parse_qsl(query, keep_blank_values=True) if _is_part_of_name(name.lower())
    ]
    return _storable_value("&".join(f"{name}={value}" for name, value in sorted(pairs)))


def _is_part_of_name(parameter: str) -> bool:
    return parameter not in STATE_PARAMETERS and not parameter.startswith(("x-amz-", "x-goog-"))


def _thing(nodes: list[Node], file: str | None) -> str | None:
    """The absolute @id of the described dataset, in slugs: the one that ends in the file's name, else the first."""
    things = [thing for id in _ids(nodes) if (thing := _normalized_id(id))]
    of_file = (thing for thing in things if thing.rpartition("/")[2] == file)
    return next(of_file, things[0] if things else None)


def _normalized_id(id: str) -> str | None:
    if (absolute := ABSOLUTE_ID.match(id.strip())) is None:
        return None
    path, _, fragment = absolute[1].partition("#")
    parts = [slug(unquote(part)) for part in re.split("[/?]", path)]
    parts += [part for part in map(slug, unquote(fragment).split("/")) if part not in EMPTY_NAMES]
    while len(parts) > 1 and parts[-1] in EMPTY_NAMES | {""}:
        parts.pop()
    return _storable_value("/".join(part for part in parts if part)) or None


def _are_different_things(first: str, second: str, name: str) -> bool:
    """Whether two @ids name different datasets.

    Publishers move their @ids to other bases, as from `…/edvp/poverty-2020#scheme/age` to `…/energy/poverty-2020/age`.
    So where both end in a meaningful file name, only host and numbers such as years distinguish them.
    """
    (*first_base, first_last), (*second_base, second_last) = first.split("/"), second.split("/")
    if first_last == second_last == name and name not in GENERIC_NAMES:
        return first_base[:1] != second_base[:1] or _numbers(first_base) != _numbers(second_base)
    return first != second


def _numbers(parts: list[str]) -> list[str]:
    return [part for part in parts[1:] if part[0].isdigit()]


def _storable_value(text: str) -> str:
    """The text in a form that can be stored: its hash if it is too long."""
    clean = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return clean if len(clean) <= MAX_VALUE_LENGTH else f"sha256:{hashlib.sha256(clean.encode()).hexdigest()}"
