"""Artifacts that a list of ids names, in the order of the list: those that an activity used, or a result gathers.

A cursor is the id of an artifact. It says nothing of those before it that the viewer may not see, and where the viewer
may not see the artifact itself, the list is treated as one that lacks it.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from itertools import chain

from resolvers.access.viewer import Viewer
from resolvers.concurrency import event_loop
from resolvers.limits import MAX_COUNTED_ROWS
from resolvers.provenance.kinds import ARTIFACTS
from resolvers.provenance.node_rows import rows_by_id
from resolvers.reads.cursor import decode_cursor
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import BY_ID, Order
from resolvers.reads.page_request import Page, PageRequest
from resolvers.reads.rows import Row

LISTED = Order((BY_ID,))
"""Of cursors alone: the rows have the order of their list."""
MIN_CANDIDATES = 32
"""Ids of each list that are looked up first, or as many as a page has rows …"""
CANDIDATES_FACTOR = 8
"""… and how many times more in each further round trip, for lists that the viewer sees little of."""

Ids = list[str]


async def pages_of_listed(
    lists: list[Ids], request: PageRequest, fields_of: NodeSelection, viewer: Viewer
) -> list[Page]:
    """A page of the listed artifacts that the viewer may see, for each list.

    One round trip for all lists where the viewer sees most of what they name; at most four for lists of 10,000.
    """
    first, last = _bound(request.after, request), _bound(request.before, request)
    searches: list[Search] = []
    async for some in _batches(lists):
        searches += [Search(ids, first, last, request) for ids in some]
    rows: dict[str, Row] = {}
    size = max(request.limit, MIN_CANDIDATES)
    while pending := [search for search in searches if not search.is_complete]:
        ids = chain.from_iterable((*search.remaining[:size], *search.bounds) for search in pending)
        rows |= await visible_rows(set(ids) - rows.keys(), fields_of, viewer)
        for search in pending:
            search.take_visible(size, rows)
        size *= CANDIDATES_FACTOR
    return request.pages([rows[id] for id in search.found] for search in searches)


async def visible_ids(lists: Iterable[Ids], viewer: Viewer) -> set[str]:
    """The ids of the listed artifacts that the viewer may see."""
    return set(await visible_rows(set(chain(*lists)), NodeSelection(lambda kind: frozenset({"_id"})), viewer))


async def count_listed(lists: list[Ids], viewer: Viewer) -> list[int | None]:
    """How many of the artifacts of each list the viewer may see, None beyond the cap."""
    visible = await visible_ids(lists, viewer)
    counts: list[int] = []
    async for some in _batches(lists):
        counts += [len(visible.intersection(ids)) for ids in some]
    return [count if count <= MAX_COUNTED_ROWS else None for count in counts]


def _batches(lists: list[Ids]) -> AsyncIterator[list[Ids]]:
    """The lists in batches of about equal work, since each may name 10,000 artifacts."""
    return event_loop.weighted_batches(lists, map(event_loop.weight_of_ids, lists))


async def visible_rows(ids: set[str], fields_of: NodeSelection, viewer: Viewer) -> dict[str, Row]:
    """The artifacts with these ids that the viewer may see, by id."""
    return await rows_by_id(ids, ARTIFACTS, fields_of, viewer)


def _bound(cursor: str | None, request: PageRequest) -> str | None:
    """The id in a cursor, None without one. Raises BadCursor."""
    if cursor is None:
        return None
    id: str = decode_cursor(cursor, LISTED, request.fingerprint)[0]
    return id


@dataclass
class Search:
    """The search for the rows of a page in one list: which ids remain, in reading order, and which were found."""

    ids: Ids
    after: str | None
    before: str | None
    request: PageRequest
    found: Ids = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bounds = [bound for bound in (self.after, self.before) if bound is not None]
        remaining = list(dict.fromkeys(self.ids))
        if self.after is not None:
            remaining = remaining[remaining.index(self.after) + 1 :] if self.after in remaining else []
        if self.before is not None:
            remaining = remaining[: remaining.index(self.before)] if self.before in remaining else []
        self.remaining = remaining[::-1] if self.request.backwards else remaining

    @property
    def is_complete(self) -> bool:
        """Whether the page is full, or nothing remains."""
        return not self.remaining or len(self.found) >= self.request.limit

    def take_visible(self, size: int, rows: dict[str, Row]) -> None:
        """Take the next ids that have a row, up to the size of the page and one more.

        Nothing follows or precedes a bound that the viewer may not see: otherwise a made-up cursor would tell whether
        an artifact is in the list.
        """
        candidates, self.remaining = self.remaining[:size], self.remaining[size:]
        if all(bound in rows for bound in self.bounds):
            self.found = [*self.found, *(id for id in candidates if id in rows)][: self.request.limit]
        else:
            self.remaining = []
