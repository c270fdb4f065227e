"""Semi-joins: filters by values of other documents, looked up in one round trip before the find that they are for."""

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
        found = await asyncio.gather(*(_resolve(value, viewer) for value in condition.values()))
        return dict(zip(condition, found, strict=True))
    if isinstance(condition, list):
        return await asyncio.gather(*(_resolve(value, viewer) for value in condition))
    return condition


async def _values(wanted: InSubquery, viewer: Viewer) -> list[Any]:
    policy = await policy_filter(wanted.document, viewer) if wanted.apply_policy else {}
    match = all_of([await resolve_subqueries(wanted.filter, viewer), policy])
    found = await wanted.document.get_pymongo_collection().distinct(wanted.path, match)
    return sorted(value for value in found if value is not None)


def widest(filter: Filter) -> tuple[str, list[Any]]:
    """The longest list of values of one field that every match must satisfy, with the field's path; empty if none."""
    found: tuple[str, list[Any]] = ("", [])
    for path, condition in filter.items():
        if path == "$and":
            candidates = [widest(one) for one in condition]
        elif isinstance(condition, dict) and isinstance(condition.get("$in"), list):
            candidates = [(path, condition["$in"])]
        else:
            continue
        found = max([found, *candidates], key=lambda one: len(one[1]))
    return found
