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
    """A field to sort by."""

    path: str
    value_type: type = str
    """The type of its values, checked in cursors."""
    nullable: bool = False
    direction: int = ASCENDING
    nulls_last: bool = True

    def with_direction(self, direction: int) -> "SortKey":
        """The key with this direction."""
        return replace(self, direction=direction)

    def reversed(self) -> "SortKey":
        """The key of the order read from its end."""
        return replace(self, direction=-self.direction, nulls_last=not self.nulls_last)

    @property
    def uses_mongo_null_order(self) -> bool:
        """Whether MongoDB sorts nulls where this key does."""
        return not self.nullable or (self.direction == DESCENDING) == self.nulls_last

    def after_value(self, value: Any) -> Filter | None:
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
        by_path.setdefault("_id", BY_ID.with_direction(keys[-1].direction if keys else ASCENDING))
        return cls(tuple(by_path.values()))

    def reversed(self) -> "Order":
        """The order read from its end."""
        return Order(tuple(key.reversed() for key in self.keys))

    @property
    def paths(self) -> list[str]:
        """The paths of all keys."""
        return [key.path for key in self.keys]

    @property
    def uses_mongo_null_order(self) -> bool:
        """Whether a plain sort by MongoDB gives this order."""
        return all(key.uses_mongo_null_order for key in self.keys)

    def sort(self) -> list[tuple[str, int]]:
        """The specification for a find or a `$sort`, once nulls are excluded."""
        return [(key.path, key.direction) for key in self.keys]

    def after(self, values: list[Any]) -> Filter:
        """A filter for the rows after the one with these values, one for each key."""
        branches: list[Filter] = []
        ties: list[Filter] = []
        for key, value in zip(self.keys, values, strict=True):
            after = key.after_value(value)
            if after is not None:
                branches.append({"$and": [*ties, after]} if ties else after)
            ties = [*ties, {key.path: value}]
        return branches[0] if len(branches) == 1 else {"$or": branches}

    def stages(self, match: Filter, limit: int, collection: str) -> list[dict[str, Any]]:
        """A pipeline for the first `limit` documents of a collection matching `match`, nulls last."""
        first = self.keys[0]
        if first.uses_mongo_null_order:
            return [{"$match": match}, *self._sort_stages(limit, self.keys[1:])]
        with_value: Filter = {"$and": [match, {first.path: {"$ne": None}}]}
        without: Filter = {"$and": [match, {first.path: None}]}
        near, far = (with_value, without) if first.nulls_last else (without, with_value)
        rest = [{"$match": far}, *self._sort_stages(limit, self.keys[1:])]
        return [
            {"$match": near},
            *self._sort_stages(limit, self.keys[1:]),
            {"$unionWith": {"coll": collection, "pipeline": rest}},
            {"$limit": limit},
        ]

    def lookup_stages(self, match: Filter, limit: int) -> list[dict[str, Any]]:
        """Stages for use in a `$lookup`, whose documents belong to one parent and are few enough to be sorted."""
        return [{"$match": match}, *self._sort_stages(limit, self.keys)]

    def _sort_stages(self, limit: int, flagged: tuple[SortKey, ...]) -> list[dict[str, Any]]:
        """Sort and limit; among `flagged` keys, a computed flag sorts nulls where they belong."""
        flags: dict[str, Any] = {}
        sort: dict[str, int] = {}
        for number, key in enumerate(self.keys):
            if key in flagged and not key.uses_mongo_null_order:
                flags[f"_null{number}"] = {"$eq": [{"$ifNull": [f"${key.path}", None]}, None]}
                sort[f"_null{number}"] = ASCENDING if key.nulls_last else DESCENDING
            sort[key.path] = key.direction
        return [*([{"$set": flags}] if flags else []), {"$sort": sort}, {"$limit": limit}]

    def arrange(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """`documents` in this order."""
        for key in reversed(self.keys):
            documents = _arrange_by(key, documents)
        return documents


def value_at(document: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, None when any part is missing."""
    value: Any = document
    for part in path.split("."):
        if not hasattr(value, "get"):
            return None
        value = value.get(part)
    return value


def _arrange_by(key: SortKey, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = [(value_at(document, key.path), document) for document in documents]
    nulls = [document for value, document in pairs if value is None]
    with_value = [pair for pair in pairs if pair[0] is not None]
    with_value.sort(key=lambda pair: pair[0], reverse=key.direction == DESCENDING)
    others = [document for _, document in with_value]
    return [*others, *nulls] if key.nulls_last else [*nulls, *others]
