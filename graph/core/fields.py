"""Sources of a view's fields: how the value is found, and which stored fields it needs.

The standard executor resolves fields from their sources, and plans are compiled from them. Both read a whole level at
once, never object by object.
"""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from graphql import get_named_type, is_leaf_type, is_non_null_type
from strawberry.types import Info
from strawberry.utils.str_converters import to_camel_case

import documents
from documents.mongo.field_paths import Model
from graph.core.projection import fields_above_nodes, fields_below, node_fields_below, times_shown
from resolvers.filters import Filter, all_of
from resolvers.reads.loaders import RequestLoader, no_objects, objects_in
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import Order, value_at
from resolvers.reads.page_request import Page, PageRequest, page_request
from resolvers.reads.relations import Children, Document, Link, PagedByIds, PagedLink, ToManyByIds, ToOne
from resolvers.reads.rows import Row
from resolvers.user_errors import InvalidInput, LimitExceeded

NODE_VIEWS: dict[str, str] = {}
"""The view that shows each kind of document with an identity."""

Compute = Callable[..., list[Any] | Awaitable[list[Any]]]
"""`(parents, viewer, **arguments)` → a list of the same length as `parents`."""


def loader_of(info: Info) -> RequestLoader:
    """The loader of the request."""
    loader: RequestLoader = info.context.loader
    return loader


class FieldSource(ABC):
    """The source of one field's values."""

    required_paths: frozenset[str] = frozenset()
    """The stored paths that must be read for the field."""
    shares_document: bool = False
    """Whether the fields selected below belong to the same document."""
    shows_rows: bool = False
    """Whether the fields selected below show a row that is held by the parent's, or was computed."""
    holds_nodes: bool = False
    """Whether it shows objects of any kind whose rows the parent's row holds."""

    @abstractmethod
    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        """The field's value for one parent, possibly awaitable, for the standard executor."""


@dataclass(frozen=True)
class StoredField(FieldSource):
    """The value at a path of the document."""

    path: str
    default: Any = None
    shows_rows = True

    @property
    def required_paths(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({self.path})

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        value = value_at(parent, self.path)
        return self.default if value is None else value


@dataclass(frozen=True)
class EmbeddedField(FieldSource):
    """Another view of the parent's own document."""

    shares_document = True
    shows_rows = True

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return parent


@dataclass(frozen=True)
class LinkField(FieldSource):
    """Another document, or a short list of them."""

    link: Link
    argument: str | None = None
    source: Model | None = None
    """The stored path of the link."""

    @property
    def required_paths(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({self.link.via}) if isinstance(self.link, ToOne | ToManyByIds) else frozenset()

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        value = arguments[self.argument] if self.argument else ""
        required = is_non_null_type(info._raw_info.return_type)
        return loader_of(info).linked_rows(self.link, parent, fields_below(info), value, required=required)


@dataclass(frozen=True)
class ConnectionResult:
    """A page as a Relay connection."""

    page: Page
    link: PagedLink
    parent: Row
    loader: RequestLoader

    @property
    def nodes(self) -> list[Row]:
        return self.page.rows

    @property
    def edges(self) -> "list[EdgeResult]":
        return [EdgeResult(row, self.page) for row in self.page.rows]

    @property
    def page_info(self) -> Row:
        return self.page.info

    @property
    def total_count(self) -> Awaitable[int | None]:
        return self.loader.count(self.link, self.page.request, self.parent)


@dataclass(frozen=True)
class EdgeResult:
    """A row of a page with its cursor."""

    node: Row
    page: Page

    @property
    def cursor(self) -> str:
        return self.page.cursor(self.node)


@dataclass(frozen=True)
class ConnectionField(FieldSource):
    """Pages of other documents, filtered and ordered by the client."""

    link: PagedLink
    to_filter: Callable[[Any], dict[str, Any]] | None = None
    to_order: Callable[[Any], Order] | None = None
    scope: Callable[[Any], Filter] | None = None
    """An additional filter, derived from the client's where."""
    link_for_where: Callable[[Any], PagedLink | None] | None = None
    """Another link for some values of where."""

    @property
    def required_paths(self) -> frozenset[str]:  # type: ignore[override]
        match self.link:
            case PagedByIds(via=path) | Children(of=path):
                return frozenset({path})
        return frozenset()

    def link_for(self, arguments: dict[str, Any]) -> PagedLink:
        """The link that these arguments select."""
        return (self.link_for_where(arguments.get("where")) if self.link_for_where else None) or self.link

    def page_request(self, arguments: dict[str, Any]) -> PageRequest:
        """The page that these arguments request. Raises InvalidInput and BadCursor."""
        where, order_by = arguments.get("where"), arguments.get("order_by")
        filter = self.to_filter(where) if self.to_filter and where else {}
        return page_request(
            first=arguments.get("first"),
            after=arguments.get("after"),
            last=arguments.get("last"),
            before=arguments.get("before"),
            collection=self.link.document.collection_name(),
            order=self.to_order(order_by) if self.to_order and order_by else self.link.order,
            filter=all_of([filter, self.scope(where)]) if self.scope else filter,
            max_size=self.link.max_page_size,
        )

    async def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        loader = loader_of(info)
        # The arguments of one place in the document are the same under every parent.
        link = self.link_for(arguments)
        place = (id(info._raw_info.field_nodes[0]), link)
        request = loader.memoise(place, lambda: self.page_request(arguments))
        row: Row = parent if parent is not None else {"_id": ""}
        page = await loader.page(link, request, row, fields_below(info), times_shown(info))
        return ConnectionResult(page, link, row, loader)


@dataclass(frozen=True)
class LookupField(FieldSource):
    """The document with the values of a unique key: `keys` are names of arguments, `paths` their stored paths."""

    document: Document
    paths: dict[str, str]
    keys: tuple[tuple[str, ...], ...]

    def key(self, arguments: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """The stored paths and values to look up, those of one unique key at least. Raises InvalidInput."""
        values = {name: value for name, value in arguments.items() if value is not None}
        if not any(values.keys() >= set(key) for key in self.keys):
            choices = (" and ".join(map(to_camel_case, key)) for key in self.keys)
            raise InvalidInput(f"Give {', or '.join(choices)}.", code="BAD_USER_INPUT")
        return tuple((self.paths[name], value) for name, value in values.items())

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return loader_of(info).lookup(self.document, self.key(arguments), fields_below(info))


@dataclass(frozen=True)
class NodeField(FieldSource):
    """The document, of any kind, that has the argument's id."""

    argument: str

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return _node(info, arguments[self.argument])


@dataclass(frozen=True)
class NodesField(FieldSource):
    """The documents, of any kind, that have the argument's ids; None where there is none."""

    argument: str
    max_ids: int

    def ids(self, arguments: dict[str, Any]) -> list[str]:
        """The requested ids. Raises LimitExceeded."""
        ids: list[str] = arguments[self.argument]
        if len(ids) > self.max_ids:
            raise LimitExceeded(f"{self.argument} has {len(ids):,} ids; at most {self.max_ids:,} are allowed.")
        return ids

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        return asyncio.gather(*(_node(info, id) for id in self.ids(arguments)))


@dataclass(frozen=True)
class HeldNodesField(FieldSource):
    """The object of any kind, or the list of them, whose rows the parent's row holds at a path."""

    path: str
    holds_nodes = True

    @property
    def required_paths(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({self.path})

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        held = value_at(parent, self.path)
        loader_of(info).budget.add_objects(objects_in(held))
        return held


def node_document(id: str) -> Document | None:
    """The kind of document that an id belongs to; None when the id is malformed or its kind is not shown."""
    document = documents.by_kind(id)
    return document if document is not None and document.kind in NODE_VIEWS and "\0" not in id else None


async def _node(info: Info, id: str) -> Row | None:
    document = node_document(id)
    if document is None:
        return None
    return await loader_of(info).node(document, id, fields_below(info, NODE_VIEWS[document.kind]))


@dataclass(frozen=True)
class ComputedField(FieldSource):
    """Values that a function computes for all parents of a level."""

    compute: Compute
    paths: frozenset[str] = frozenset()
    finds_nodes: bool = False
    """Whether `compute` finds rows of objects of any kind, and takes what is selected of them as `fields_of`."""

    @property
    def required_paths(self) -> frozenset[str]:  # type: ignore[override]
        return self.paths

    @property
    def shows_rows(self) -> bool:  # type: ignore[override]
        return not self.finds_nodes

    def resolve(self, parent: Any, info: Info, arguments: dict[str, Any]) -> Any:
        loader = loader_of(info)
        if self.finds_nodes:
            arguments = arguments | {"fields_of": self._selection(info)}
        returns_rows = not is_leaf_type(get_named_type(info._raw_info.return_type))
        if not inspect.iscoroutinefunction(self.compute):
            (value,) = self.compute([parent], loader.viewer, **arguments)  # type: ignore[misc]
            loader.budget.add_objects(objects_in(value) if returns_rows else 0)
            return value

        async def compute_level(parents: list[Row]) -> list[Any]:
            values: Any = await self.compute(parents, loader.viewer, **arguments)  # type: ignore[misc]
            return list(values)

        # The arguments and selections of one place in the document are the same under every parent.
        place = tuple(id(node) for node in info._raw_info.field_nodes)
        row: Row = parent if parent is not None else {"_id": ""}
        return loader.batch((self.compute, place), compute_level, row, objects_in if returns_rows else no_objects)

    def _selection(self, info: Info) -> NodeSelection:
        raw = info._raw_info
        fields = fields_above_nodes(get_named_type(raw.return_type), raw.field_nodes, raw.fragments)
        return NodeSelection(
            lambda document: node_fields_below(info, NODE_VIEWS[document.kind]),
            names=frozenset(node.name.value for _, node in fields),
            expect_objects=loader_of(info).budget.expect_objects,
        )
