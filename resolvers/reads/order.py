"""Sort orders of a list, and filters that continue a list after a given row.

Nulls come last in both directions. MongoDB sorts them first when ascending, so an ascending order over a field that may
be null is read in two segments, those with a value and then those without, joined in one round trip.
"""

from dataclasses import dataclass, replace
from typing import Any

from resolvers.filters import Filter

ASCENDING, DESCENDING = 1, -1


@dataclass(frozen=True)
class SortKey:
    """A field to sort by. `holds` is the type of its value in a cursor."""

    path: str
    holds: type = str
    nullable: bool = False
    direction: int = ASCENDING
    nulls_last: bool = True

    def towards(self, direction: int) -> "SortKey":
        """The field with another direction."""
        return replace(self, direction=direction)

    def reversed(self) -> "SortKey":
        """The order read from its end."""
        return replace(self, direction=-self.direction, nulls_last=not self.nulls_last)

    @property
    def is_natural(self) -> bool:
        """Whether MongoDB's own order puts the nulls where they belong."""
        return not self.nullable or (self.direction == DESCENDING) == self.nulls_last

    def beyond(self, value: Any) -> Filter | None:
        """A filter for values strictly after `value`, None when there are none."""
        if value is None:
            return None if self.nulls_last else {self.path: {"$ne": None}}
        comparison = {self.path: {"$gt" if self.direction == ASCENDING else "$lt": value}}
        return {"$or": [comparison, {self.path: None}]} if self.nullable and self.nulls_last else comparison


BY_ID = SortKey("_id")


@dataclass(frozen=True)
class Order:
    """Sort keys, the last of which is unique."""

    keys: tuple[SortKey, ...]

    @classmethod
    def by(cls, *keys: SortKey) -> "Order":
        """An order by `keys`, ties broken by id in the direction of the last, so that one index serves it."""
        by_path: dict[str, SortKey] = {}
        for key in keys:
            by_path.setdefault(key.path, key)
        by_path.setdefault("_id", BY_ID.towards(keys[-1].direction if keys else ASCENDING))
        return cls(tuple(by_path.values()))

    def reversed(self) -> "Order":
        """The order read from its end."""
        return Order(tuple(key.reversed() for key in self.keys))

    @property
    def paths(self) -> list[str]:
        """Every field that is needed to place a row."""
        return [key.path for key in self.keys]

    @property
    def is_natural(self) -> bool:
        """Whether a plain sort gives this order."""
        return all(key.is_natural for key in self.keys)

    def sort(self) -> list[tuple[str, int]]:
        """The specification for a find or a `$sort`, once nulls are excluded."""
        return [(key.path, key.direction) for key in self.keys]

    def after(self, values: list[Any]) -> Filter:
        """A filter for the rows after the one with these values, one for each key."""
        branches: list[Filter] = []
        same: list[Filter] = []
        for key, value in zip(self.keys, values, strict=True):
            beyond = key.beyond(value)
            if beyond is not None:
                branches.append({"$and": [*same, beyond]} if same else beyond)
            same = [*same, {key.path: value}]
        return branches[0] if len(branches) == 1 else {"$or": branches}

    def stages(self, match: Filter, limit: int, collection: str) -> list[dict[str, Any]]:
        """A pipeline for the first `limit` documents of a collection matching `match`, nulls last."""
        first = self.keys[0]
        if first.is_natural:
            return [{"$match": match}, *self._sorted(limit, self.keys[1:])]
        with_value: Filter = {"$and": [match, {first.path: {"$ne": None}}]}
        without: Filter = {"$and": [match, {first.path: None}]}
        near, far = (with_value, without) if first.nulls_last else (without, with_value)
        rest = [{"$match": far}, *self._sorted(limit, self.keys[1:])]
        return [
            {"$match": near},
            *self._sorted(limit, self.keys[1:]),
            {"$unionWith": {"coll": collection, "pipeline": rest}},
            {"$limit": limit},
        ]

    def joined_stages(self, match: Filter, limit: int) -> list[dict[str, Any]]:
        """Stages for use in a `$lookup`, whose documents belong to one parent and are few enough to be sorted."""
        return [{"$match": match}, *self._sorted(limit, self.keys)]

    def _sorted(self, limit: int, flagged: tuple[SortKey, ...]) -> list[dict[str, Any]]:
        """Sort and limit; `flagged` are the keys among which nulls must be put where they belong."""
        flags: dict[str, Any] = {}
        sort: dict[str, int] = {}
        for number, key in enumerate(self.keys):
            if key in flagged and not key.is_natural:
                flags[f"_null{number}"] = {"$eq": [{"$ifNull": [f"${key.path}", None]}, None]}
                sort[f"_null{number}"] = ASCENDING if key.nulls_last else DESCENDING
            sort[key.path] = key.direction
        return [*([{"$set": flags}] if flags else []), {"$sort": sort}, {"$limit": limit}]

    def arrange(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """`documents` in this order."""
        arranged = documents
        for key in reversed(self.keys):
            arranged = _arranged_by(key, arranged)
        return arranged


def value_at(document: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, None when any part is missing."""
    value: Any = document
    for part in path.split("."):
        if not hasattr(value, "get"):
            return None
        value = value.get(part)
    return value


def _arranged_by(key: SortKey, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    placed = [(value_at(document, key.path), document) for document in documents]
    nulls = [document for value, document in placed if value is None]
    valued = [pair for pair in placed if pair[0] is not None]
    valued.sort(key=lambda pair: pair[0], reverse=key.direction == DESCENDING)
    rest = [document for _, document in valued]
    return [*rest, *nulls] if key.nulls_last else [*nulls, *rest]
