"""Filters that name what other documents have: looked up in one round trip before the find that they are for."""

import asyncio
from typing import Any

from resolvers.filters import Among, Filter, all_of, selects
from resolvers.links import Document
from resolvers.policies import readable
from resolvers.viewer import Viewer


async def allowed(document: Document, viewer: Viewer) -> Filter:
    """The viewer's policy for a document, ready for a find."""
    return await settled(readable(document, viewer), viewer)


async def settled(filter: Filter, viewer: Viewer) -> Filter:
    """The filter with the values of each Among in its place."""
    return await _settled(filter, viewer) if selects(filter) else filter


async def _settled(condition: Any, viewer: Viewer) -> Any:
    if isinstance(condition, Among):
        return {"$in": await _values(condition, viewer)}
    if isinstance(condition, dict):
        found = await asyncio.gather(*(_settled(value, viewer) for value in condition.values()))
        return dict(zip(condition, found, strict=True))
    if isinstance(condition, list):
        return await asyncio.gather(*(_settled(value, viewer) for value in condition))
    return condition


async def _values(wanted: Among, viewer: Viewer) -> list[Any]:
    policy = await allowed(wanted.document, viewer) if wanted.guarded else {}
    match = all_of([await settled(wanted.filter, viewer), policy])
    found = await wanted.document.get_pymongo_collection().distinct(wanted.path, match)
    return sorted(value for value in found if value is not None)


def widest(filter: Filter) -> tuple[str, list[Any]]:
    """The longest list of values of one field that must hold in any case, with the field's path; empty if none."""
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
