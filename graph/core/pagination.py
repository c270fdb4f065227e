"""Pages of a list, as Relay's connections."""

from typing import Generic, TypeVar

import strawberry

from graph.core.view import VIEWS, stored, view
from resolvers.reads import page_request

T = TypeVar("T")


@view(page_request.PageInfo)
class PageInfo:
    """The position of a page in its list."""

    has_next_page: bool = stored(description="Whether more items follow the page.")
    has_previous_page: bool = stored(description="Whether items precede the page.")
    start_cursor: str | None = stored(
        description="Cursor of the first item on the page; pass it to before to get the previous page. Null for an "
        "empty page."
    )
    end_cursor: str | None = stored(
        description="Cursor of the last item on the page; pass it to after to get the next page. Null for an empty "
        "page."
    )


@strawberry.type(description="An object in a list, with its cursor.")
class Edge(Generic[T]):
    node: T = strawberry.field(description="The object itself.")
    cursor: str = strawberry.field(
        description="The object's position in the list, valid for the same order and filter."
    )


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    nodes: list[T] = strawberry.field(description="The objects on the page.")
    edges: list[Edge[T]] = strawberry.field(description="The objects on the page, each with its cursor.")
    page_info: PageInfo = strawberry.field(description="The position of the page in its list.")
    total_count: int | None = strawberry.field(
        description="Number of objects in the whole list. Counted only when selected; null beyond 10,000."
    )


VIEWS["Connection"] = Connection
