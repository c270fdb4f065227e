"""The loader of one request: the lookups of a level are made in one round trip, on behalf of its viewer."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

from strawberry.dataloader import DataLoader

from resolvers.access.viewer import Viewer
from resolvers.reads import lookups
from resolvers.reads.answer_budget import AnswerBudget, AnswerLimits
from resolvers.reads.counts import count_all, count_by_ids, count_children
from resolvers.reads.page_request import Page, PageRequest
from resolvers.reads.pages import page_of_all, pages_by_ids, pages_of_children
from resolvers.reads.relations import (
    AllDocuments,
    Children,
    Document,
    Link,
    PagedByIds,
    PagedLink,
    ToManyByIds,
    ToManyContaining,
    ToOne,
    ToOneBy,
)
from resolvers.reads.rows import Fields, Row
from resolvers.user_errors import Refusal

T = TypeVar("T")
Read = Callable[[list[Row]], Awaitable[list[T]]]
"""Reads one result for each of the distinct parents of a level."""


class RequiredLinkHidden(Refusal):
    """The target of a required link does not exist for this viewer."""

    code = "NOT_FOUND"

    def __init__(self, document: Document) -> None:
        super().__init__(f"There is no {document.__name__} here that you may see.")


def objects_in(value: Any) -> int:
    """The number of objects in a row, a list of rows, or nothing."""
    if isinstance(value, Sequence):
        return sum(map(objects_in, value))
    return int(value is not None and not isinstance(value, Exception))


def no_objects(value: object) -> int:
    """The number of objects in a value that is no object."""
    return 0


def _key_of(parent: Row) -> Hashable:
    key: Hashable = parent["_id"]
    return key


class BudgetedRead(Generic[T]):
    """A read whose results count against the budget once for each occurrence."""

    def __init__(self, read: Read[T], objects_in: Callable[[T], int], budget: AnswerBudget) -> None:
        self._read_parents, self.objects_in, self._budget = read, objects_in, budget
        self.occurrences: Counter[Hashable] = Counter()
        """Occurrences of each parent of the next read, by the parent's key."""

    async def read(self, parents: list[Row]) -> list[T]:
        """One value for each parent, in their order. Raises AnswerTooLarge."""
        results = await self._read_parents(parents)
        pairs = zip(parents, results, strict=True)
        self._budget.add_objects(
            sum(self.occurrences.pop(_key_of(parent), 0) * self.objects_in(result) for parent, result in pairs)
        )
        return results


class Level(Generic[T]):
    """The lookups of one kind in one tick, made in one round trip.

    A row may be requested many times, once for each of its occurrences in the answer. All requests of one tick are
    counted together before any is answered, so that no oversized result is expanded.
    """

    def __init__(self, read: Read[T], objects_in: Callable[[T], int], budget: AnswerBudget) -> None:
        # The loader holds its read function, which must not refer back to it: all rows would stay until collected.
        self._read, self._budget = BudgetedRead(read, objects_in, budget), budget
        self._loader = DataLoader(load_fn=self._read.read, cache_key_fn=_key_of)
        self._repeats: list[tuple[asyncio.Future[T], asyncio.Future[T], int]] = []
        """Requests of this tick for results that have been read: the answer, the result, and its occurrences."""

    def load(self, parent: Row, times: int) -> Awaitable[T]:
        """The result for one parent, which occurs `times` times in the answer. Raises AnswerTooLarge."""
        result = cast("asyncio.Future[T]", self._loader.load(parent))
        if result.done():
            return self._load_again(result, times)
        self._read.occurrences[_key_of(parent)] += times
        # The executor cancels the siblings of a failed field. Others may wait for the same row.
        return asyncio.shield(result)

    def _load_again(self, result: "asyncio.Future[T]", times: int) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        if not self._repeats:
            loop.call_soon(self._answer_repeats)
        answer: asyncio.Future[T] = loop.create_future()
        self._repeats.append((answer, result, times))
        return answer

    def _answer_repeats(self) -> None:
        """Answer the requests of the last tick for results that had been read before."""
        repeats, self._repeats = self._repeats, []
        refusal: Exception | None = None
        try:
            self._budget.add_objects(
                sum(
                    times * self._read.objects_in(result.result()) for _, result, times in repeats if not _error(result)
                )
            )
        except Exception as error:
            refusal = error
        for answer, result, _ in repeats:
            if not answer.done():
                _resolve(answer, result, refusal)


def _resolve(answer: "asyncio.Future[T]", result: "asyncio.Future[T]", refusal: Exception | None) -> None:
    if (error := refusal or _error(result)) is None:
        return answer.set_result(result.result())
    answer.set_exception(error)
    # Retrieved, since asyncio logs exceptions that are never retrieved.
    answer.exception()


def _error(result: "asyncio.Future[T]") -> BaseException | None:
    return asyncio.CancelledError() if result.cancelled() else result.exception()


class RequestLoader:
    """The reads of one request on behalf of one viewer, within the budget of its answer."""

    def __init__(self, viewer: Viewer, budget: AnswerBudget | None = None) -> None:
        self.viewer = viewer
        self.budget = budget or AnswerBudget(AnswerLimits())
        self.is_abandoned = False
        """Whether nobody waits for the results any more."""
        self._levels: dict[Hashable, Level[Any]] = {}
        self._memoised: dict[Hashable, Any] = {}

    def clear_cache(self) -> None:
        """Discard all results after a write."""
        self.viewer = replace(self.viewer, reported=())
        self._levels.clear()

    def show_reported_activity(self, activity: Row) -> None:
        """Let the viewer see the activity it ran in the answer to its report, which may have ended the activity."""
        if "executionRef" in activity:
            self.clear_cache()
            self.viewer = replace(self.viewer, reported=(activity["executionRef"], activity["_id"]))

    def memoise(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make`, computed once for this request."""
        if key not in self._memoised:
            self._memoised[key] = make()
        result: T = self._memoised[key]
        return result

    def batch(
        self, key: Hashable, read: Read[T], parent: Row, objects_in: Callable[[T], int] = no_objects, times: int = 1
    ) -> Awaitable[T]:
        """The result of `read` for `parent`, read together with all others of the same key in this tick.

        `objects_in` gives the number of objects in a result, which occurs `times` times in the answer.
        """
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(read, objects_in, self.budget)
        return level.load(parent, times)

    def node(self, document: Document, id: str, fields: Fields) -> Awaitable[Row | None]:
        """The row with this id, None when the viewer may see none."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Row | None]:
            rows = await lookups.by_ids(document, [parent["_id"] for parent in parents], fields, viewer)
            return [rows.get(parent["_id"]) for parent in parents]

        return self.batch(("node", document, fields), read, {"_id": id}, objects_in)

    def lookup(self, document: Document, key: tuple[tuple[str, str], ...], fields: Fields) -> Awaitable[Row | None]:
        """The row with these values at its unique paths."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Row | None]:
            return [await lookups.by_key(document, dict(key), fields, viewer)]

        return self.batch(("lookup", document, key, fields), read, {"_id": ""}, objects_in)

    def linked_rows(
        self, link: Link, parent: Row, fields: Fields, value: str = "", *, required: bool = False
    ) -> Awaitable[Any]:
        """The row or rows that an unpaged link leads to. Raises RequiredLinkHidden for a `required` one."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Any]:
            match link:
                case ToOne():
                    rows = await lookups.linked_rows(link, parents, fields, viewer)
                    return [RequiredLinkHidden(link.document) if row is None and required else row for row in rows]
                case ToManyByIds():
                    return await lookups.by_id_lists(link, parents, fields, viewer)
                case ToManyContaining():
                    return await lookups.rows_containing(link, parents, fields, viewer)
                case ToOneBy():
                    return list(await lookups.one_by(link, value, parents, fields, viewer))
            raise TypeError(f"{link} is paged")

        return self.batch((link, fields, value, required), read, parent, objects_in)

    def page(
        self, link: PagedLink, request: PageRequest, parent: Row, fields: Fields, times: int = 1
    ) -> Awaitable[Page]:
        """A page of the rows of a paged link, each of which occurs `times` times in the answer."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[Page]:
            match link:
                case AllDocuments():
                    return [await page_of_all(link.document, request, fields, viewer)]
                case Children():
                    return await pages_of_children(link, request, parents, fields, viewer)
                case PagedByIds():
                    return await pages_by_ids(link, request, parents, fields, viewer)

        return self.batch((link, request.key, fields), read, parent, lambda page: len(page.rows), times)

    def count(self, link: PagedLink, request: PageRequest, parent: Row) -> Awaitable[int | None]:
        """The number of rows of the link, None beyond the cap."""
        viewer = self.viewer

        async def read(parents: list[Row]) -> list[int | None]:
            match link:
                case AllDocuments():
                    return [await count_all(link.document, request.filter, viewer)]
                case Children():
                    return await count_children(link, request.filter, parents, viewer)
                case PagedByIds():
                    return await count_by_ids(link, request.filter, parents, viewer)

        return self.batch(("count", link, request.fingerprint), read, parent)
