"""Pages of lists: the window that a client asks for, and the page it gets."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from resolvers.reads.cursor import decode_cursor, encode_cursor, fingerprint
from resolvers.reads.order import Order
from resolvers.user_errors import InvalidInput

DEFAULT_SIZE = 20
MAX_PAGE_SIZE = 100
COUNT_CAP = 10_000
"""Maximum of `totalCount`; beyond it, it is null."""

Document = dict[str, Any]


@dataclass(frozen=True)
class PageRequest:
    """The requested part of a list: how many rows, in which order, after which row, matching which filter."""

    size: int
    order: Order
    filter: dict[str, Any]
    mark: str
    backwards: bool = False
    after: str | None = None
    before: str | None = None

    @property
    def limit(self) -> int:
        """One more than the page, which tells whether another follows."""
        return self.size + 1

    @property
    def key(self) -> Hashable:
        """Equal for windows that ask for the same rows of the same list."""
        return (self.mark, self.size, self.backwards, self.after, self.before)

    @property
    def reading_order(self) -> Order:
        """The order in which rows are read: from the end when the last ones are requested."""
        return self.order.reversed() if self.backwards else self.order

    def bounds(self) -> list[dict[str, Any]]:
        """Filters for rows after `after` and before `before`."""
        found = []
        if self.after is not None:
            found.append(self.order.after(decode_cursor(self.after, self.order, self.mark)))
        if self.before is not None:
            found.append(self.order.reversed().after(decode_cursor(self.before, self.order, self.mark)))
        return found

    def page(self, read: list[Document]) -> "Page":
        """The page made of up to `limit` rows, given in reading order."""
        (made,) = self.pages([read])
        return made

    def pages(self, lists: Iterable[list[Document]]) -> "list[Page]":
        """A page of each list, as `page` makes it."""
        size = self.size
        if self.backwards:
            follows = self.before is not None
            return [Page(read[:size][::-1], self, follows, len(read) > size) for read in lists]
        precedes = self.after is not None
        return [Page(read if len(read) <= size else read[:size], self, len(read) > size, precedes) for read in lists]


class PageInfo(BaseModel):
    """The position of a page in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


class Page(NamedTuple):
    """The rows of one page, in order."""

    rows: list[Document]
    window: PageRequest
    has_next_page: bool
    has_previous_page: bool

    def cursor(self, row: Document) -> str:
        """The cursor of one of the rows."""
        return encode_cursor(row, self.window.order, self.window.mark)

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
        """A PageInfo, as plain values."""
        return {name: getattr(self, name) for name in PageInfo.model_fields}


def window(
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    collection: str,
    order: Order,
    filter: dict[str, Any],
    most: int = MAX_PAGE_SIZE,
) -> PageRequest:
    """The window that a connection's arguments ask for. Raises InvalidInput and BadCursor.

    An empty cursor counts as none: some clients send it for the first page.
    """
    if first is not None and last is not None:
        raise InvalidInput("Give first or last, not both.", code="BAD_USER_INPUT")
    name, size = ("last", last) if last is not None else ("first", first)
    if size is not None and not 0 <= size <= most:
        raise InvalidInput(f"{name} must be between 0 and {most}, not {size}.", code="BAD_USER_INPUT")
    asked = PageRequest(
        size=DEFAULT_SIZE if size is None else size,
        order=order,
        filter=filter,
        mark=fingerprint(collection, order, filter),
        backwards=last is not None,
        after=after or None,
        before=before or None,
    )
    asked.bounds()
    return asked
