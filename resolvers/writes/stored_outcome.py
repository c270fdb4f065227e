"""Outcomes of mutations as they are stored: with ids in place of rows, which are read anew for each repeated call."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import documents
from documents.base import kind_of
from resolvers.access.viewer import Viewer
from resolvers.reads import lookups
from resolvers.reads.rows import ALL_FIELDS, Row
from resolvers.user_errors import NotFound, Refusals
from resolvers.writes.transaction import Outcome

StoredOutcome = dict[str, Any]


def serialize_outcome(outcome: Any) -> Any:
    """An outcome with ids in place of rows, and for an activity also its attempt."""
    if isinstance(outcome, list):
        return [serialize_outcome(member) for member in outcome]
    if isinstance(outcome, dict) and "_id" in outcome:
        return {"row": outcome["_id"]} | ({"attempt": outcome["attempt"]} if "attempt" in outcome else {})
    if isinstance(outcome, dict):
        return {"values": {name: serialize_outcome(value) for name, value in outcome.items()}}
    return outcome


async def load_outcome(viewer: Viewer, stored: StoredOutcome) -> Outcome:
    """The outcome with its current rows.

    Raises Refusals when a row is gone, or the viewer may no longer see it.
    """
    ids = list(dict.fromkeys(_ids_in(stored)))
    rows = await _readable_rows(ids, viewer)
    if hidden := [id for id in ids if id not in rows]:
        raise Refusals([NotFound(_noun(id), id, "idempotencyKey") for id in hidden])
    outcome: Outcome = _with_rows(stored, rows)
    return outcome


async def _readable_rows(ids: list[str], viewer: Viewer) -> dict[str, Row]:
    """The rows that the viewer may see, by id."""
    ids_by_document: defaultdict[type[documents.Document], list[str]] = defaultdict(list)
    for id in ids:
        if document := documents.by_kind(id):
            ids_by_document[document].append(id)
    rows: dict[str, Row] = {}
    for document, its_ids in ids_by_document.items():
        rows |= await lookups.by_ids(document, its_ids, ALL_FIELDS, viewer)
    return rows


def _noun(id: str) -> str:
    document = documents.by_kind(id)
    return document.__name__ if document else kind_of(id)


def _ids_in(stored: Any) -> Iterator[str]:
    """The ids that stand for rows."""
    if isinstance(stored, list):
        for member in stored:
            yield from _ids_in(member)
    elif isinstance(stored, dict) and "row" in stored:
        yield stored["row"]
    elif isinstance(stored, dict):
        yield from _ids_in(list(stored["values"].values()))


def _with_rows(stored: Any, rows: dict[str, Row]) -> Any:
    """An outcome with rows in place of their ids."""
    if isinstance(stored, list):
        return [_with_rows(member, rows) for member in stored]
    if isinstance(stored, dict) and "row" in stored:
        return rows[stored["row"]]
    if isinstance(stored, dict):
        return {name: _with_rows(value, rows) for name, value in stored["values"].items()}
    return stored
