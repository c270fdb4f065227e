"""Pages of lists: the page that a client requests, and the rows it gets."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from resolvers.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from resolvers.reads.cursor import decode_cursor, encode_cursor, fingerprint
from resolvers.reads.order import Order
from resolvers.user_errors import InvalidInput

Document = dict[str, Any]


@dataclass(frozen=True)
class PageRequest:
    """The requested part of a list: how many rows, in which order, after which row, matching which filter."""

    size: int
    order: Order
    filter: dict[str, Any]
    fingerprint: str
    """Identifies the list in cursors: its order and filter."""
    backwards: bool = False
    after: str | None = None
    before: str | None = None

    @property
    def limit(self) -> int:
        """One row more than the page, to know whether another page follows."""
        return self.size + 1

    @property
    def key(self) -> Hashable:
        """Equal for requests of the same rows of the same list."""
        return (self.fingerprint, self.size, self.backwards, self.after, self.before)

    @property
    def reading_order(self) -> Order:
        """The order in which rows are read: from the end when the last ones are requested."""
        return self.order.reversed() if self.backwards else self.order

    def bounds(self) -> list[dict[str, Any]]:
        """Filters for rows after `after` and before `before`."""
        filters = []
        if self.after is not None:
            filters.append(self.order.after(decode_cursor(self.after, self.order, self.fingerprint)))
        if self.before is not None:
            filters.append(self.order.reversed().after(decode_cursor(self.before, self.order, self.fingerprint)))
        return filters

    def page(self, rows: list[Document]) -> "Page":
        """The page made of up to `limit` rows, given in reading order."""
        (page,) = self.pages([rows])
        return page

    def pages(self, lists: Iterable[list[Document]]) -> "list[Page]":
        """A page of each list, made as by `page`."""
        size = self.size
        if self.backwards:
            has_next = self.before is not None
            return [Page(rows[:size][::-1], self, has_next, len(rows) > size) for rows in lists]
        has_previous = self.after is not None
        return [
            Page(rows if len(rows) <= size else rows[:size], self, len(rows) > size, has_previous) for rows in lists
        ]


class PageInfo(BaseModel):
    """The position of a page in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


class Page(NamedTuple):
    """The rows of one page, in order."""

    rows: list[Document]
    request: PageRequest
    has_next_page: bool
    has_previous_page: bool

    def cursor(self, row: Document) -> str:
        """The cursor of one of the rows."""
        return encode_cursor(row, self.request.order, self.request.fingerprint)

    @property
    def start_cursor(self) -> str | None:
        """The cursor of the first row, None on an empty page."""
        return self.cursor(self.rows[0]) if self.rows else None

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last row, None on an empty page."""
        return self.cursor(self.rows[-1]) if self.rows else None

    @property
    def info(self) -> Document:
        """The values of a PageInfo."""
        return {name: getattr(self, name) for name in PageInfo.model_fields}


def page_request(
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    collection: str,
    order: Order,
    filter: dict[str, Any],
    max_size: int = MAX_PAGE_SIZE,
) -> PageRequest:
    """The page that a connection's arguments request. Raises InvalidInput and BadCursor.

    An empty cursor counts as none: some clients send it for the first page.
    """
    if first is not None and last is not None:
        raise InvalidInput("Give first or last, not both.", code="BAD_USER_INPUT")
    name, size = ("last", last) if last is not None else ("first", first)
    if size is not None and not 0 <= size <= max_size:
        raise InvalidInput(f"{name} must be between 0 and {max_size}, not {size}.", code="BAD_USER_INPUT")
    request = PageRequest(
        size=DEFAULT_PAGE_SIZE if size is None else size,
        order=order,
        filter=filter,
        fingerprint=fingerprint(collection, order, filter),
        backwards=last is not None,
        after=after or None,
        before=before or None,
    )
    # Refuses cursors of other lists.
    request.bounds()
    return request
