"""Captions: what to call an artifact or an activity in a list or a picture, from its own stored fields alone."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import documents
from resolvers.access.viewer import Viewer
from resolvers.reads.rows import Row

MAX_CAPTION_LENGTH = 200
"""Characters of a caption; longer ones are cut."""
MAX_VERSION_LENGTH = 50
SHORT_HASH = 8
"""Digits of a commit or a SHA-256 in a caption."""


class Caption(NamedTuple):
    """The fields of a document from which its caption is made, by their Python names, and the function that makes it.

    The function returns an empty text where the document names nothing.
    """

    paths: tuple[str, ...]
    make: Callable[[Row], str]


def caption_paths(document: Any) -> tuple[str, ...]:
    """The fields of a document from which its caption is made, by their Python names."""
    return CAPTIONS[document].paths


def captions(rows: list[Row], viewer: Viewer) -> list[str]:
    """The caption of each row, by its kind: one line of 1 to MAX_CAPTION_LENGTH characters. That of a document that
    names nothing is its class and id."""
    found = []
    for row in rows:
        kind, _, digits = row["_id"].partition("_")
        noun, make = BY_KIND[kind]
        words = make(row).split() or [noun, digits]
        text = words[0] if len(words) == 1 else " ".join(words)
        found.append(text if len(text) <= MAX_CAPTION_LENGTH else _cut(text))
    return found


def _cut(text: str, length: int = MAX_CAPTION_LENGTH) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _stored(field: str) -> Callable[[Row], str]:
    """The function for documents that have a name of their own in a field."""
    return lambda row: str(row[field])


def _distribution(row: Row) -> str:
    return f"{row.get('datasetName') or ''} {row.get('versionLabel') or ''}"


def _archive(row: Row) -> str:
    return f"Report {row['identifier']}"


def _generation(row: Row) -> str:
    jobs, archives = row.get("jobs") or 0, row.get("archives") or 0
    return f"{_count(jobs, 'job')} from {_count(archives, 'report')}"


def _external_data(row: Row) -> str:
    version, sha256 = row.get("version"), row.get("sha256")
    state = (
        f" @ {_cut(version, MAX_VERSION_LENGTH)}" if version else f" @ sha256:{sha256[:SHORT_HASH]}" if sha256 else ""
    )
    return f"{_short_url(row['url'], MAX_CAPTION_LENGTH - len(state))}{state}"


def _transform(row: Row) -> str:
    if code := row.get("code"):
        first = code[0]
        return f"{first.get('path') or _last_part(first['repository'])} @ {first['commit'][:SHORT_HASH]}"
    cause = row.get("cause")
    return f"Transform, {_words(cause['kind'])}" if cause else ""


def _ingestion(row: Row) -> str:
    created: datetime = row["created_at"]
    return f"{_words(row.get('kind') or 'INGEST').capitalize()} of {created:%Y-%m-%d %H:%M}"


def _dataset(row: Row) -> str:
    return str(row.get("title") or row["identifier"])


def _component_version(row: Row) -> str:
    return f"{row.get('title') or ''} {row['version']} @ {row['commitHash'][:SHORT_HASH]}"


def _short_url(url: str, length: int) -> str:
    """The URL without its scheme if that is https, cut in the middle: the host and the file name say the most."""
    text = url.removeprefix("https://")
    if len(text) <= length:
        return text
    host, _, path = text.partition("/")
    return f"{_cut(host, length // 2)}/…{path[-(length // 2 - 2) :]}"


def _words(value: str) -> str:
    return value.replace("_", " ").lower()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


CAPTIONS: dict[Any, Caption] = {
    documents.Distribution: Caption(("dataset_name", "version_label"), _distribution),
    documents.Output: Caption(("file_name",), _stored("file_name")),
    documents.Result: Caption(("title",), _stored("title")),
    documents.Archive: Caption(("identifier",), _archive),
    documents.Generation: Caption(("jobs", "archives"), _generation),
    documents.ExternalData: Caption(("url", "version", "sha256"), _external_data),
    documents.Step: Caption(("key",), _stored("key")),
    documents.Transform: Caption(("code", "cause"), _transform),
    documents.Ingestion: Caption(("purpose", "created_at"), _ingestion),
    documents.Dataset: Caption(("title", "identifier"), _dataset),
    documents.DatasetVersion: Caption(("label",), _stored("label")),
    documents.Execution: Caption(("title",), _stored("title")),
    documents.ComponentVersion: Caption(("title", "version", "commit_hash"), _component_version),
}
"""The captions of everything that has a place in the provenance graph."""
BY_KIND: dict[str, tuple[str, Callable[[Row], str]]] = {
    document.kind: (document.__name__, caption.make) for document, caption in CAPTIONS.items()
}
"""The class of each kind of document, and the function that makes its captions."""
