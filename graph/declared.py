"""What a view's field declares: how it is found, and which stored fields that takes.

A declaration is all there is: the standard executor answers from it, and a plan is compiled from it. None of them looks
at one object at a time when the level could be read at once.
"""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from graphql import is_non_null_type
from strawberry.types import Info
from strawberry.utils.str_converters import to_camel_case

import documents
from graph.projection import fields_below
from resolvers.fetch import Row
from resolvers.filters import Filter, all_of
from resolvers.links import Document, Gathered, Link, Listed, Many, One, Paged
from resolvers.order import Order, value_at
from resolvers.page import Page, Window, window
from resolvers.reader import Reader
from resolvers.refusals import InvalidInput, LimitExceeded

NODE_VIEWS: dict[str, str] = {}
"""The view that shows each kind of document with an identity."""

Compute = Callable[..., list[Any] | Awaitable[list[Any]]]
"""`(parents, viewer, **arguments)` → a list of the same length as `parents`."""


def reader_of(info: Info) -> Reader:
    """The reader of the request being answered."""
    reader: Reader = info.context.reader
    return reader


class Declared(ABC):
    """How one field is found. `needs` are the stored paths that must be read for it."""

    needs: frozenset[str] = frozenset()
    below: bool = False
    """Whether the fields selected below belong to the same document."""

    @abstractmethod
    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        """The field's value for one parent, possibly awaitable. Used by the standard executor."""


@dataclass(frozen=True)
class Stored(Declared):
    """What stands at a path of the document."""

    path: str
    default: Any = None

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({self.path})

    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        value = value_at(parent, self.path)
        return self.default if value is None else value


@dataclass(frozen=True)
class Facet(Declared):
    """The same document, seen through another type."""

    below = True

    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return parent


@dataclass(frozen=True)
class Linked(Declared):
    """One other document, or a short list of them."""

    link: Link
    argument: str | None = None

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({self.link.via}) if isinstance(self.link, One | Listed) else frozenset()

    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        value = arguments[self.argument] if self.argument else ""
        required = is_non_null_type(info._raw_info.return_type)
        return reader_of(info).linked(self.link, parent, fields_below(info), value, required=required)


@dataclass(frozen=True)
class Listing:
    """A page, as a connection shows it."""

    page: Page
    link: Paged
    parent: Row
    reader: Reader

    @property
    def nodes(self) -> list[Row]:
        return self.page.rows

    @property
    def edges(self) -> "list[EdgeOf]":
        return [EdgeOf(row, self.page) for row in self.page.rows]

    @property
    def page_info(self) -> Page:
        return self.page

    @property
    def total_count(self) -> Awaitable[int | None]:
        return self.reader.count(self.link, self.page.window, self.parent)


@dataclass(frozen=True)
class EdgeOf:
    """A row at its place in a page."""

    node: Row
    page: Page

    @property
    def cursor(self) -> str:
        return self.page.cursor(self.node)


@dataclass(frozen=True)
class Connected(Declared):
    """Pages of other documents, filtered and ordered as the client asks."""

    link: Paged
    to_filter: Callable[[Any], dict[str, Any]] | None = None
    to_order: Callable[[Any], Order] | None = None
    scope: Callable[[Any], Filter] | None = None
    """What holds besides, by the client's where."""
    unless: Callable[[Any], Paged | None] | None = None
    """Another link for some wheres."""

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        match self.link:
            case Gathered(via=path) | Many(of=path):
                return frozenset({path})
        return frozenset()

    def link_for(self, arguments: dict[str, Any]) -> Paged:
        """The link that the arguments ask for."""
        return (self.unless(arguments.get("where")) if self.unless else None) or self.link

    def window(self, arguments: dict[str, Any]) -> Window:
        """What the arguments ask for."""
        where, order_by = arguments.get("where"), arguments.get("order_by")
        asked = self.to_filter(where) if self.to_filter and where else {}
        return window(
            first=arguments.get("first"),
            after=arguments.get("after"),
            last=arguments.get("last"),
            before=arguments.get("before"),
            collection=self.link.document.collection_name(),
            order=self.to_order(order_by) if self.to_order and order_by else self.link.order,
            filter=all_of([asked, self.scope(where)]) if self.scope else asked,
            most=self.link.most,
        )

    async def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        reader = reader_of(info)
        # The arguments of one place in the document are the same under every parent.
        link = self.link_for(arguments)
        asked = reader.once((id(info._raw_info.field_nodes[0]), link), lambda: self.window(arguments))
        whole: Row = parent if parent is not None else {"_id": ""}
        page = await reader.page(link, asked, whole, fields_below(info))
        return Listing(page, link, whole, reader)


@dataclass(frozen=True)
class Found(Declared):
    """The one document that has these values at its unique keys; `paths` is by argument."""

    document: Document
    paths: dict[str, str]

    def key(self, arguments: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """The stored paths and values asked for, at least one."""
        asked = tuple((self.paths[name], value) for name, value in arguments.items() if value is not None)
        if not asked:
            raise InvalidInput(
                f"Give {' or '.join(to_camel_case(name) for name in self.paths)}.", code="BAD_USER_INPUT"
            )
        return asked

    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return reader_of(info).found(self.document, self.key(arguments), fields_below(info))


@dataclass(frozen=True)
class ById(Declared):
    """The document of any kind that has the argument's id."""

    argument: str

    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return _node(info, arguments[self.argument])


@dataclass(frozen=True)
class ByIds(Declared):
    """The documents of any kind that have the argument's ids, None where there is none."""

    argument: str
    most: int

    def ids(self, arguments: dict[str, Any]) -> list[str]:
        """The ids asked for. Raises LimitExceeded."""
        ids: list[str] = arguments[self.argument]
        if len(ids) > self.most:
            raise LimitExceeded(f"{self.argument} takes at most {self.most} ids, not {len(ids)}.")
        return ids

    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return asyncio.gather(*(_node(info, id) for id in self.ids(arguments)))


def node_document(id: str) -> Document | None:
    """The document that an id belongs to, None when it is malformed or of a kind that is not shown."""
    document = documents.by_kind(id)
    return document if document is not None and document.kind in NODE_VIEWS and "\0" not in id else None


async def _node(info: Info, id: str) -> Row | None:
    document = node_document(id)
    if document is None:
        return None
    return await reader_of(info).node(document, id, fields_below(info, NODE_VIEWS[document.kind]))


@dataclass(frozen=True)
class Computed(Declared):
    """What a function makes of all parents of a level."""

    compute: Compute
    stored: frozenset[str] = frozenset()

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return self.stored

    def answer(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        reader = reader_of(info)
        if not inspect.iscoroutinefunction(self.compute):
            values: Any = self.compute([parent], reader.viewer, **arguments)
            return values[0]

        async def level(parents: list[Row]) -> list[Any]:
            values: Any = await self.compute(parents, reader.viewer, **arguments)  # type: ignore[misc]
            return list(values)

        # The arguments of one place in the document are the same under every parent.
        place = id(info._raw_info.field_nodes[0])
        return reader.batch((self.compute, place), level, parent if parent is not None else {"_id": ""})
