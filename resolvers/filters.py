"""Filters put together from values that are typed already, so that no operator can come from a client."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import documents
from resolvers.refusals import InvalidInput, LimitExceeded

Filter = dict[str, Any]

MOST_VALUES = 1000
"""How many values one `in` may list."""

NEVER: Filter = {"_id": {"$in": []}}


@dataclass(frozen=True)
class Among:
    """In place of a condition, as in `{"generationRef": Among(…)}`: one of the values that other documents have.

    They are those at `path` of the documents that `filter` finds and the viewer may read; of all that it finds unless
    `guarded`. What reads rows looks them up beforehand, in one round trip.
    """

    document: type[documents.Document]
    filter: Filter
    path: str
    guarded: bool = True


def selects(condition: Any) -> bool:
    """Whether there is an Among in a filter."""
    if isinstance(condition, dict):
        return any(map(selects, condition.values()))
    if isinstance(condition, list):
        # Lists hold either conditions or values.
        return bool(condition) and isinstance(condition[0], dict) and any(map(selects, condition))
    return isinstance(condition, Among)


def all_of(filters: Iterable[Filter]) -> Filter:
    """What matches every filter: everything when there is none."""
    wanted = [one for one in filters if one]
    if len(wanted) > 1:
        return {"$and": wanted}
    return wanted[0] if wanted else {}


def any_of(filters: Iterable[Filter]) -> Filter:
    """What matches at least one filter: nothing when there is none."""
    wanted = list(filters)
    if not wanted:
        return NEVER
    return {} if {} in wanted else {"$or": wanted}


def none_of(inner: Filter) -> Filter:
    """What does not match."""
    return {"$nor": [inner]} if inner else NEVER


def equals(path: str, value: Any) -> Filter:
    """A field that has exactly this value; null asks for a field without one."""
    return {path: {"$eq": value}}


def is_one_of(path: str, values: list[Any]) -> Filter:
    """A field with one of these values. An empty list matches nothing."""
    if len(values) > MOST_VALUES:
        raise LimitExceeded(
            f"{len(values)} values in one `in`: at most {MOST_VALUES} are taken.", code="LIMIT_EXCEEDED"
        )
    return {path: {"$in": values}}


def contains(path: str, part: str) -> Filter:
    """A text that has `part` in it, upper and lower case told apart."""
    return {path: {"$regex": re.escape(_searchable(part))}}


def starts_with(path: str, beginning: str) -> Filter:
    """A text that begins with `beginning`, upper and lower case told apart."""
    return {path: {"$regex": f"^{re.escape(_searchable(beginning))}"}}


def compares(path: str, comparison: str, value: datetime | int) -> Filter:
    """A field that is `gt`, `gte`, `lt` or `lte` than a value; fields without a value never are."""
    return {path: {f"${comparison}": value}}


def _searchable(text: str) -> str:
    if "\0" in text:
        raise InvalidInput("A filter holds a NUL character, which no stored text has.", code="BAD_USER_INPUT")
    if len(text) > MOST_VALUES:
        raise LimitExceeded(f"A filter of {len(text)} characters: at most {MOST_VALUES} are searched for.")
    return text
