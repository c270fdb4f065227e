"""What one request reads with: a viewer, and loaders that turn the look-ups of a level into one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

from resolvers import fetch
from resolvers.fetch import Fields, Row
from resolvers.links import Document, Every, Gathered, Link, Listed, Many, One, Paged, Picked, Referring
from resolvers.page import Page, Window
from resolvers.refusals import LimitExceeded, Refusal
from resolvers.viewer import Viewer

T = TypeVar("T")

OBJECTS = 1_000_000
"""Objects in one answer, unless the settings say otherwise."""


class Hidden(Refusal):
    """What a field must lead to does not exist for this viewer."""

    code = "NOT_FOUND"

    def __init__(self, document: Document) -> None:
        super().__init__(f"There is no {document.__name__} here that you may see.")


def _key_of(parent: Row) -> Hashable:
    key: Hashable = parent["_id"]
    return key


class Budget:
    """How many objects one answer may hold, counted as they are read, level by level."""

    def __init__(self, objects: int) -> None:
        self.objects = objects
        self.spent = 0

    def spend(self, objects: int) -> None:
        """Count objects of a level. Raises LimitExceeded, so that no further level is read, once there are too many."""
        self.spent += objects
        if self.spent > self.objects:
            raise LimitExceeded(
                f"The answer would hold more than {self.objects:,} objects. Ask for smaller pages or fewer levels."
            )


class Reader:
    """The reads of one request on behalf of one viewer, within a budget of objects."""

    def __init__(self, viewer: Viewer, budget: Budget | None = None) -> None:
        self.viewer = viewer
        self.budget = budget or Budget(OBJECTS)
        self._loaders: dict[Hashable, DataLoader[Row, Any]] = {}
        self._made: dict[Hashable, Any] = {}

    def forget(self) -> None:
        """Read everything anew from here on: something was written."""
        self.viewer = replace(self.viewer, reported=())
        self._loaders.clear()

    def answer_report(self, activity: Row) -> None:
        """Show the viewer, in the answer to their report on this activity, what they ran: it may have ended by that."""
        if "executionRef" in activity:
            self.viewer = replace(self.viewer, reported=(activity["executionRef"], activity["_id"]))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this request."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    def batch(self, key: Hashable, read: Callable[[list[Row]], Awaitable[list[T]]], parent: Row) -> Awaitable[T]:
        """`read` of `parent`, together with all others of the same key that are asked for in this tick."""
        loader = self._loaders.get(key)
        if loader is None:
            loader = self._loaders[key] = DataLoader(load_fn=read, cache_key_fn=_key_of)
        # The executor cancels what stands beside a field that failed. Others may wait for the same row.
        return asyncio.shield(loader.load(parent))

    def node(self, document: Document, id: str, fields: Fields) -> Awaitable[Row | None]:
        """The row with this id, None when there is none that the viewer may see."""

        async def read(parents: list[Row]) -> list[Row | None]:
            found = await fetch.by_ids(document, [parent["_id"] for parent in parents], fields, self.viewer)
            self.budget.spend(len(found))
            return [found.get(parent["_id"]) for parent in parents]

        return self.batch(("node", document, fields), read, {"_id": id})

    def found(self, document: Document, key: tuple[tuple[str, str], ...], fields: Fields) -> Awaitable[Row | None]:
        """The row with these values at its unique paths."""

        async def read(parents: list[Row]) -> list[Row | None]:
            self.budget.spend(1)
            return [await fetch.by_key(document, dict(key), fields, self.viewer)]

        return self.batch(("found", document, key, fields), read, {"_id": ""})

    def linked(
        self, link: Link, parent: Row, fields: Fields, value: str = "", *, required: bool = False
    ) -> Awaitable[Any]:
        """The row or rows that an unpaged link leads to. Raises Hidden where one is `required` and there is none."""

        async def read(parents: list[Row]) -> list[Any]:
            found: list[Any]
            match link:
                case One():
                    rows = await fetch.ones(link, parents, fields, self.viewer)
                    found = [Hidden(link.document) if row is None and required else row for row in rows]
                case Listed():
                    found = await fetch.listed(link, parents, fields, self.viewer)
                case Referring():
                    found = await fetch.referring(link, parents, fields, self.viewer)
                case Picked():
                    found = list(await fetch.picked(link, value, parents, fields, self.viewer))
                case _:
                    raise TypeError(f"{link} is paged")
            self.budget.spend(sum(len(one) if isinstance(one, list) else 1 for one in found))
            return found

        return self.batch((link, fields, value, required), read, parent)

    def page(self, link: Paged, asked: Window, parent: Row, fields: Fields) -> Awaitable[Page]:
        """A page of the rows that a paged link leads to."""

        async def read(parents: list[Row]) -> list[Page]:
            match link:
                case Every():
                    pages = [await fetch.every(link.document, asked, fields, self.viewer)]
                case Many():
                    pages = await fetch.pages(link, asked, parents, fields, self.viewer)
                case Gathered():
                    pages = await fetch.gathered(link, asked, parents, fields, self.viewer)
            self.budget.spend(sum(len(page.rows) for page in pages))
            return pages

        return self.batch((link, asked.key, fields), read, parent)

    def count(self, link: Paged, asked: Window, parent: Row) -> Awaitable[int | None]:
        """How many rows the link leads to in all, None beyond the cap."""

        async def read(parents: list[Row]) -> list[int | None]:
            match link:
                case Every():
                    return [await fetch.count_every(link.document, asked.filter, self.viewer)]
                case Many():
                    return await fetch.counts(link, asked.filter, parents, self.viewer)
                case Gathered():
                    return await fetch.counts_gathered(link, asked.filter, parents, self.viewer)

        return self.batch(("count", link, asked.mark), read, parent)
