"""The reader of one request: its viewer, and loaders that turn the look-ups of a level into one round trip."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

from strawberry.dataloader import DataLoader

from resolvers.access.viewer import Viewer
from resolvers.reads import lookups
from resolvers.reads.counts import count_all, count_by_ids, count_children
from resolvers.reads.page import Page, PageRequest
from resolvers.reads.pages import page_of_all, pages_by_ids, pages_of_children
from resolvers.reads.relations import Document, Every, Gathered, Link, Listed, Many, One, Paged, Picked, Referring
from resolvers.reads.response_budget import AnswerBudget, AnswerLimits
from resolvers.reads.rows import Fields, Row
from resolvers.user_errors import Refusal

T = TypeVar("T")
Read = Callable[[list[Row]], Awaitable[list[T]]]
"""Reads one result for each of the distinct parents of a level."""


class Hidden(Refusal):
    """The target of a required link does not exist for this viewer."""

    code = "NOT_FOUND"

    def __init__(self, document: Document) -> None:
        super().__init__(f"There is no {document.__name__} here that you may see.")


def objects_in(value: Any) -> int:
    """The number of objects in a row, a list of rows, or nothing."""
    if isinstance(value, list):
        return sum(map(objects_in, value))
    return int(value is not None and not isinstance(value, Exception))


def no_objects(value: object) -> int:
    """The number of objects in a value that is no object."""
    return 0


def _key_of(parent: Row) -> Hashable:
    key: Hashable = parent["_id"]
    return key


class Counted(Generic[T]):
    """A read whose results are counted once for each occurrence."""

    def __init__(self, read: Read[T], objects_in: Callable[[T], int], budget: AnswerBudget) -> None:
        self._read_parents, self.objects_in, self._budget = read, objects_in, budget
        self.occurrences: Counter[Hashable] = Counter()
        """Occurrences of each parent that is about to be read for, by its key."""

    async def read(self, parents: list[Row]) -> list[T]:
        """One value for each parent, in their order. Raises AnswerTooLarge."""
        found = await self._read_parents(parents)
        counted = zip(parents, found, strict=True)
        self._budget.add_objects(
            sum(self.occurrences.pop(_key_of(parent), 0) * self.objects_in(one) for parent, one in counted)
        )
        return found


class Level(Generic[T]):
    """The look-ups of one kind in one tick, made in one round trip.

    A row may be requested many times, once for each of its occurrences in the answer. All requests of one tick are
    counted together before any is answered, so that no oversized result is expanded.
    """

    def __init__(self, read: Read[T], objects_in: Callable[[T], int], budget: AnswerBudget) -> None:
        # The loader keeps its read function, which must not refer back to it: all rows would stay until collected.
        self._counted, self._budget = Counted(read, objects_in, budget), budget
        self._loader = DataLoader(load_fn=self._counted.read, cache_key_fn=_key_of)
        self._asked_again: list[tuple[asyncio.Future[T], asyncio.Future[T], int]] = []

    def load(self, parent: Row, times: int) -> Awaitable[T]:
        """The result for one parent, which is shown so many times. Raises AnswerTooLarge."""
        found = cast("asyncio.Future[T]", self._loader.load(parent))
        if found.done():
            return self._load_again(found, times)
        self._counted.occurrences[_key_of(parent)] += times
        # The executor cancels the siblings of a failed field. Others may wait for the same row.
        return asyncio.shield(found)

    def _load_again(self, found: "asyncio.Future[T]", times: int) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        if not self._asked_again:
            loop.call_soon(self._tell_again)
        told: asyncio.Future[T] = loop.create_future()
        self._asked_again.append((told, found, times))
        return told

    def _tell_again(self) -> None:
        """Answer the requests of the last tick for results that had been read before."""
        asked, self._asked_again = self._asked_again, []
        refusal: Exception | None = None
        try:
            self._budget.add_objects(
                sum(times * self._counted.objects_in(found.result()) for _, found, times in asked if not _error(found))
            )
        except Exception as error:
            refusal = error
        for told, found, _ in asked:
            if not told.done():
                _tell(told, found, refusal)


def _tell(told: "asyncio.Future[T]", found: "asyncio.Future[T]", refusal: Exception | None) -> None:
    if (error := refusal or _error(found)) is None:
        return told.set_result(found.result())
    told.set_exception(error)
    # Retrieved, since asyncio reports errors that nobody has retrieved.
    told.exception()


def _error(found: "asyncio.Future[T]") -> BaseException | None:
    return asyncio.CancelledError() if found.cancelled() else found.exception()


class RequestLoader:
    """The reads of one request on behalf of one viewer, within the budget of its answer."""

    def __init__(self, viewer: Viewer, budget: AnswerBudget | None = None) -> None:
        self.viewer = viewer
        self.budget = budget or AnswerBudget(AnswerLimits())
        self.is_abandoned = False
        """Whether nobody waits for the results any more."""
        self._levels: dict[Hashable, Level[Any]] = {}
        self._made: dict[Hashable, Any] = {}

    def forget(self) -> None:
        """Discard all results: something was written."""
        self.viewer = replace(self.viewer, reported=())
        self._levels.clear()

    def answer_report(self, activity: Row) -> None:
        """Show the viewer, in the answer to its report on this activity, the activity it ran, which may have ended by
        that."""
        if "executionRef" in activity:
            self.forget()
            self.viewer = replace(self.viewer, reported=(activity["executionRef"], activity["_id"]))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make`, computed once for this request."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    def batch(
        self, key: Hashable, read: Read[T], parent: Row, objects_in: Callable[[T], int] = no_objects, times: int = 1
    ) -> Awaitable[T]:
        """The result of `read` for `parent`, read together with all others of the same key in this tick.

        `objects_in` gives the number of objects in a value, which is shown so many times.
        """
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(read, objects_in, self.budget)
        return level.load(parent, times)

    def node(self, document: Document, id: str, fields: Fields) -> Awaitable[Row | None]:
        """The row with this id, None when the viewer may see none."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Row | None]:
            found = await lookups.by_ids(document, [parent["_id"] for parent in parents], fields, viewer)
            return [found.get(parent["_id"]) for parent in parents]

        return self.batch(("node", document, fields), read, {"_id": id}, objects_in)

    def found(self, document: Document, key: tuple[tuple[str, str], ...], fields: Fields) -> Awaitable[Row | None]:
        """The row with these values at its unique paths."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Row | None]:
            return [await lookups.by_key(document, dict(key), fields, viewer)]

        return self.batch(("found", document, key, fields), read, {"_id": ""}, objects_in)

    def linked(
        self, link: Link, parent: Row, fields: Fields, value: str = "", *, required: bool = False
    ) -> Awaitable[Any]:
        """The row or rows that an unpaged link leads to. Raises Hidden where one is `required` and there is none."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Any]:
            match link:
                case One():
                    rows = await lookups.linked_rows(link, parents, fields, viewer)
                    return [Hidden(link.document) if row is None and required else row for row in rows]
                case Listed():
                    return await lookups.by_id_lists(link, parents, fields, viewer)
                case Referring():
                    return await lookups.rows_containing(link, parents, fields, viewer)
                case Picked():
                    return list(await lookups.one_by(link, value, parents, fields, viewer))
            raise TypeError(f"{link} is paged")

        return self.batch((link, fields, value, required), read, parent, objects_in)

    def page(self, link: Paged, asked: PageRequest, parent: Row, fields: Fields, times: int = 1) -> Awaitable[Page]:
        """A page of the rows of a paged link, each of which is shown so many times."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Page]:
            match link:
                case Every():
                    return [await page_of_all(link.document, asked, fields, viewer)]
                case Many():
                    return await pages_of_children(link, asked, parents, fields, viewer)
                case Gathered():
                    return await pages_by_ids(link, asked, parents, fields, viewer)

        return self.batch((link, asked.key, fields), read, parent, lambda page: len(page.rows), times)

    def count(self, link: Paged, asked: PageRequest, parent: Row) -> Awaitable[int | None]:
        """The number of rows of the link, None beyond the cap."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[int | None]:
            match link:
                case Every():
                    return [await count_all(link.document, asked.filter, viewer)]
                case Many():
                    return await count_children(link, asked.filter, parents, viewer)
                case Gathered():
                    return await count_by_ids(link, asked.filter, parents, viewer)

        return self.batch(("count", link, asked.mark), read, parent)
