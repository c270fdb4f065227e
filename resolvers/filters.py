"""Filters built from typed values, so that no operator can come from a client."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import documents
from resolvers.limits import MAX_FILTER_VALUES, MAX_SEARCH_LENGTH
from resolvers.user_errors import InvalidInput, LimitExceeded

Filter = dict[str, Any]

MATCH_NOTHING: Filter = {"_id": {"$in": []}}


@dataclass(frozen=True)
class InSubquery:
    """A semi-join, used in place of a condition, as in `{"generationRef": InSubquery(…)}`: one of the values in other
    documents.

    The values are those at `path` of the documents that `filter` finds and the viewer may read; of all documents found
    unless `apply_policy`. They are looked up before the find, in one round trip.
    """

    document: type[documents.Document]
    filter: Filter
    path: str
    apply_policy: bool = True


def contains_subquery(condition: Any) -> bool:
    """Whether a filter contains an InSubquery."""
    if isinstance(condition, dict):
        return any(map(contains_subquery, condition.values()))
    if isinstance(condition, list):
        # Lists hold either conditions or values.
        return bool(condition) and isinstance(condition[0], dict) and any(map(contains_subquery, condition))
    return isinstance(condition, InSubquery)


def all_of(filters: Iterable[Filter]) -> Filter:
    """A filter that matches when every filter does: everything when there is none."""
    restricting = [filter for filter in filters if filter]
    if len(restricting) > 1:
        return {"$and": restricting}
    return restricting[0] if restricting else {}


def any_of(filters: Iterable[Filter]) -> Filter:
    """A filter that matches when at least one does: nothing when there is none."""
    alternatives = list(filters)
    if not alternatives:
        return MATCH_NOTHING
    return {} if {} in alternatives else {"$or": alternatives}


def none_of(inner: Filter) -> Filter:
    """The negation of a filter."""
    return {"$nor": [inner]} if inner else MATCH_NOTHING


def equals(path: str, value: Any) -> Filter:
    """A field equal to this value; null matches a field without a value."""
    return {path: {"$eq": value}}


def is_one_of(path: str, values: list[Any]) -> Filter:
    """A field with one of these values. An empty list matches nothing."""
    _check_count(values, "in")
    return {path: {"$in": values}}


def is_none_of(path: str, values: list[Any]) -> Filter:
    """A field with none of these values. An empty list matches everything."""
    _check_count(values, "notIn")
    return {path: {"$nin": values}}


def contains(path: str, part: str) -> Filter:
    """A text that contains `part`, case-sensitive."""
    return {path: {"$regex": re.escape(_searchable(part))}}


def starts_with(path: str, beginning: str) -> Filter:
    """A text that begins with `beginning`, case-sensitive."""
    return {path: {"$regex": f"^{re.escape(_searchable(beginning))}"}}


def compares(path: str, comparison: str, value: datetime | int) -> Filter:
    """A field that is `gt`, `gte`, `lt` or `lte` a value; fields without a value never match."""
    return {path: {f"${comparison}": value}}


def has_no_elements(path: str) -> Filter:
    """A list that is empty or missing."""
    return {path: {"$in": [None, []]}}


def has_element(path: str, below: str, conditions: list[Filter]) -> Filter:
    """A list with an element that meets all of the conditions; `below` is their path within each element.

    `below` is empty where the elements are values. MongoDB matches these by operators alone, without `$and`.
    """
    if len(conditions) == 1:
        return {f"{path}.{below}".rstrip("."): conditions[0][below]}
    operators = (condition[below] for condition in conditions)
    return {path: {"$elemMatch": all_of(conditions) if below else _merge_operators(operators)}}


def _merge_operators(operators: Iterable[Filter]) -> Filter:
    """The operators as one document, all of which must match the value. Two regular expressions become one."""
    merged: Filter = {}
    for operator in operators:
        if "$regex" in merged and "$regex" in operator:
            lookaheads = (f"(?=[\\s\\S]*?{expression})" for expression in (merged["$regex"], operator["$regex"]))
            operator = {"$regex": f"^{''.join(lookaheads)}"}
        merged |= operator
    return merged


def _check_count(values: list[Any], operator: str) -> None:
    if len(values) > MAX_FILTER_VALUES:
        raise LimitExceeded(
            f"{len(values)} values in one `{operator}`; at most {MAX_FILTER_VALUES} are allowed.", code="LIMIT_EXCEEDED"
        )


def _searchable(text: str) -> str:
    """The text, if it can be searched for. Raises InvalidInput or LimitExceeded."""
    if "\0" in text:
        raise InvalidInput("A filter holds a NUL character, which no stored text has.", code="BAD_USER_INPUT")
    if len(text) > MAX_SEARCH_LENGTH:
        raise LimitExceeded(f"A filter of {len(text)} characters: at most {MAX_SEARCH_LENGTH} can be searched for.")
    return text
