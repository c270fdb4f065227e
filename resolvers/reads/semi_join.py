"""Semi-joins: filters by values of other documents, which are read in one round trip before the find itself."""

import asyncio
from typing import Any

from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, InSubquery, all_of, contains_subquery
from resolvers.reads.relations import Document


async def policy_filter(document: Document, viewer: Viewer) -> Filter:
    """The viewer's policy for a document, ready for a find."""
    return await resolve_subqueries(readable(document, viewer), viewer)


async def authorised_filter(document: Document, filter: Filter, viewer: Viewer) -> Filter:
    """A client's filter, restricted to documents that the viewer may see."""
    return all_of([await policy_filter(document, viewer), await resolve_subqueries(filter, viewer)])


async def resolve_subqueries(filter: Filter, viewer: Viewer) -> Filter:
    """The filter with each InSubquery replaced by its values."""
    return await _resolve(filter, viewer) if contains_subquery(filter) else filter


async def _resolve(condition: Any, viewer: Viewer) -> Any:
    if isinstance(condition, InSubquery):
        return {"$in": await _values(condition, viewer)}
    if isinstance(condition, dict):
        values = await asyncio.gather(*(_resolve(value, viewer) for value in condition.values()))
        return dict(zip(condition, values, strict=True))
    if isinstance(condition, list):
        return await asyncio.gather(*(_resolve(value, viewer) for value in condition))
    return condition


async def _values(subquery: InSubquery, viewer: Viewer) -> list[Any]:
    policy = await policy_filter(subquery.document, viewer) if subquery.apply_policy else {}
    match = all_of([await resolve_subqueries(subquery.filter, viewer), policy])
    values = await subquery.document.get_pymongo_collection().distinct(subquery.path, match)
    return sorted(value for value in values if value is not None)


def longest_in_list(filter: Filter) -> tuple[str, list[Any]]:
    """The longest list of values of one field that every match must satisfy, with the field's path; empty if none."""
    longest: tuple[str, list[Any]] = ("", [])
    for path, condition in filter.items():
        if path == "$and":
            candidates = [longest_in_list(branch) for branch in condition]
        elif isinstance(condition, dict) and isinstance(condition.get("$in"), list):
            candidates = [(path, condition["$in"])]
        else:
            continue
        longest = max([longest, *candidates], key=lambda candidate: len(candidate[1]))
    return longest
