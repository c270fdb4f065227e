"""Pages of a list, as Relay's connections."""

from typing import Generic, TypeVar

import strawberry

from graph.view import VIEWS

T = TypeVar("T")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more rows follow.")
    has_previous_page: bool = strawberry.field(description="Whether rows precede.")
    start_cursor: str | None = strawberry.field(description="The first row's place; give it to before.")
    end_cursor: str | None = strawberry.field(description="The last row's place; give it to after.")


@strawberry.type(description="A row at its place in a list.")
class Edge(Generic[T]):
    node: T = strawberry.field(description="The row.")
    cursor: str = strawberry.field(description="The row's place in this order and filter.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    nodes: list[T] = strawberry.field(description="The rows of the page.")
    edges: list[Edge[T]] = strawberry.field(description="The rows with their places.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in its list.")
    total_count: int | None = strawberry.field(description="Counted only when selected; null beyond 10,000.")


VIEWS["Connection"] = Connection
