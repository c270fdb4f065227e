"""The description of a dataset, taken from its newest document alone, so that no value outlives its document."""

from datetime import datetime
from typing import Any

from documents.base import utc_milliseconds
from resolvers.catalogue.read_distributions import Reported
from resolvers.reads.rows import Row


def facts(dataset: Row, one: Reported, *, published: bool) -> dict[str, Any]:
    """The changes to a dataset whose newest document is the reported one, by stored name.

    Where that document says nothing, values given with `createDataset` remain, else none. A title that a report gave
    stays until another document is `published`.
    """
    given = _given(dataset)
    title = one.title or one.csvw.title or given["givenTitle"]
    said = given | {
        "title": title if published else one.title or dataset["title"],
        "description": one.csvw.description or given["givenDescription"],
        "publisher": one.csvw.publisher,
        "issued": one.csvw.issued,
        "modified": one.csvw.modified,
        "keywords": one.csvw.keywords,
    }
    return {name: value for name, value in said.items() if not _same(value, dataset.get(name))}


def _given(dataset: Row) -> Row:
    """The description that a client gave. Before the first version only clients can have given one."""
    if dataset["latestOrdinal"] == 0:
        return {"givenTitle": dataset["title"], "givenDescription": dataset["description"]}
    return {name: dataset.get(name) for name in ("givenTitle", "givenDescription")}


def _same(value: Any, stored: Any) -> bool:
    """Whether a value is stored already. The database returns times without a zone, which are UTC."""
    if isinstance(value, datetime) and isinstance(stored, datetime):
        return utc_milliseconds(value) == utc_milliseconds(stored)
    return bool(value == stored)
