"""Facts of datasets, taken from the newest document alone, so that no value outlives its document."""

from datetime import datetime
from typing import Any

from documents.base import utc_milliseconds
from resolvers.catalogue.read_distributions import ReportedDocument
from resolvers.reads.rows import Row


def changed_facts(dataset: Row, document: ReportedDocument, *, published: bool) -> dict[str, Any]:
    """The changes to a dataset whose newest document is the reported one, by stored name.

    Where that document says nothing, values given with `createDataset` remain, else none. A title that a report gave
    stays until another document is `published`.
    """
    csvw, by_client = document.csvw, _facts_from_client(dataset)
    title = document.title or csvw.title or by_client["givenTitle"]
    facts = by_client | {
        "title": title if published else document.title or dataset["title"],
        "description": csvw.description or by_client["givenDescription"],
        "publisher": csvw.publisher,
        "issued": csvw.issued,
        "modified": csvw.modified,
        "keywords": csvw.keywords,
    }
    return {name: value for name, value in facts.items() if not _is_stored(value, dataset.get(name))}


def _facts_from_client(dataset: Row) -> Row:
    """The description that a client gave. Before the first version only clients can have given one."""
    if dataset["latestOrdinal"] == 0:
        return {"givenTitle": dataset["title"], "givenDescription": dataset["description"]}
    return {name: dataset.get(name) for name in ("givenTitle", "givenDescription")}


def _is_stored(value: Any, stored: Any) -> bool:
    """Whether a value is stored already. The database returns times without a zone, which are UTC."""
    if isinstance(value, datetime) and isinstance(stored, datetime):
        return utc_milliseconds(value) == utc_milliseconds(stored)
    return bool(value == stored)
