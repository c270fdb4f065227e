"""Declarations of views: classes whose fields say where their values are found.

    @view(documents.Step)
    class Step(Activity):
        key: str = stored(description="Unique within the execution.")
        execution: Execution | None = one(documents.Execution, "execution_ref", description="The step's execution.")
        outputs: Connection[Output] = connection(documents.Output, "step_ref", description="Files the step produced.")

Names in declarations are the documents' Python names; a name that the document lacks stops the process at start.
Annotations may name any view: they are resolved by `resolve_forward_references` when all are known.
"""

import copy
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types import Info
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from documents.base import kind_of, now
from documents.mongo.field_paths import Model, stored_path
from graph.core.fields import (
    NODE_VIEWS,
    Compute,
    ComputedField,
    ConnectionField,
    EmbeddedField,
    FieldSource,
    HeldNodesField,
    LinkField,
    LookupField,
    NodeField,
    NodesField,
    StoredField,
)
from graph.core.where import OrderInput, WhereInput
from resolvers.filters import Filter
from resolvers.limits import MAX_PAGE_SIZE
from resolvers.reads.order import BY_ID, Order, SortKey
from resolvers.reads.relations import (
    AllDocuments,
    Children,
    Document,
    PagedByIds,
    PagedLink,
    ToManyByIds,
    ToManyContaining,
    ToOne,
    ToOneBy,
)

Bind = Callable[[Model | None, str], FieldSource]
C = TypeVar("C", bound=type)

VIEWS: dict[str, type] = {}
"""Every view by name, for annotations."""


class ViewField(StrawberryField):
    """A field resolved by its source."""

    field_source: FieldSource
    bind: Bind

    def __init__(self, *args: Any, bind: Bind | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        if bind:
            self.bind = bind

    def __copy__(self) -> "ViewField":
        copied = super().__copy__()
        copied.__dict__.update(
            {name: self.__dict__[name] for name in ("bind", "field_source") if name in self.__dict__}
        )
        return copied

    @property
    def is_basic_field(self) -> bool:
        """Whether a field is resolved without looking at the request."""
        # An interface's field is declared anew by each view that implements it, and never resolved itself.
        return isinstance(self.__dict__.get("field_source"), StoredField | EmbeddedField | None)

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:
        return self.field_source.resolve(source, info, kwargs)  # type: ignore[arg-type]


def view(document: Model | None = None, *, name: str | None = None) -> Callable[[C], C]:
    """A Strawberry type that shows `document`, with the class's docstring as its description."""

    def decorate(cls: C) -> C:
        for base in cls.__mro__:
            for attribute, field in vars(base).items():
                if isinstance(field, ViewField) and "field_source" not in field.__dict__:
                    field.field_source = field.bind(document, attribute)
        type_: C = strawberry.type(cls, name=name, description=_description(cls))
        _rebind_inherited_fields(type_, document)
        VIEWS[cls.__name__] = type_
        kind = getattr(document, "kind", None)
        if kind and any(base.__name__ == "Node" for base in cls.__mro__):
            NODE_VIEWS[kind] = name or cls.__name__
            type_.is_type_of = staticmethod(lambda row, info: True)  # type: ignore[attr-defined]
            type_.__strawberry_definition__.is_type_of = type_.is_type_of  # type: ignore[attr-defined]
        return type_

    return decorate


def interface(cls: C) -> C:
    """A Strawberry interface of views, of which a document's id names one."""
    type_: C = strawberry.interface(cls, description=_description(cls))
    type_.__strawberry_definition__.resolve_type = _resolve_type  # type: ignore[attr-defined]
    VIEWS[cls.__name__] = type_
    return type_


def resolve_forward_references() -> None:
    """Resolve the names of views in annotations, wherever the views are declared."""
    # One namespace for each module: with one for each field they took 8 MB.
    namespace_of = cache(lambda module: {**vars(sys.modules[module]), **VIEWS})
    for type_ in VIEWS.values():
        for field in type_.__strawberry_definition__.fields:  # type: ignore[attr-defined]
            if isinstance(field, ViewField) and field.type_annotation:
                field.type_annotation.namespace = namespace_of((field.origin or type_).__module__)


def stored(path: str | None = None, *, description: str, name: str | None = None, instead: str | None = None) -> Any:
    """The value that the document stores at `path`, by default the field's own name.

    `instead` is the field that replaces a deprecated one.
    """

    def bind(model: Model | None, own_name: str) -> FieldSource:
        full_path, info = stored_path(model, path or own_name)
        # A time that was never stored must not default to the start of this process.
        has_default = not info.is_required() and info.default_factory is not now
        default = info.get_default(call_default_factory=True, validated_data={}) if has_default else None
        return StoredField(full_path, default)

    return _field(bind, description, name=name, deprecation_reason=f"Use {instead}." if instead else None)


def embedded(*, description: str) -> Any:
    """A part of the document as an object."""
    return _field(lambda model, name: EmbeddedField(), description)


def one(document: Document, via: str, *, description: str) -> Any:
    """The document whose id this one stores at `via`."""
    return _field(lambda model, name: LinkField(ToOne(document, stored_path(model, via)[0]), source=model), description)


def many_by_ids(document: Document, via: str, *, description: str) -> Any:
    """The documents whose ids this one lists at `via`."""
    return _field(lambda model, name: LinkField(ToManyByIds(document, stored_path(model, via)[0])), description)


def many_containing(document: Document, via: str, order: SortKey = BY_ID, *, description: str) -> Any:
    """The documents that list this one's id at `via`."""
    link = ToManyContaining(document, stored_path(document, via)[0], Order.by(order))
    return _field(lambda model, name: LinkField(link), description)


def one_by(document: Document, via: str, by: str, *, argument: StrawberryArgument, description: str) -> Any:
    """The one child that references this document at `via` and has the argument's value at `by`."""
    link = ToOneBy(document, stored_path(document, via)[0], stored_path(document, by)[0])
    return _field(lambda model, name: LinkField(link, argument.python_name), description, [argument])


def connection(
    document: Document,
    via: str,
    order: SortKey = BY_ID,
    *,
    where: WhereInput | None = None,
    order_by: OrderInput | None = None,
    max_page_size: int = MAX_PAGE_SIZE,
    of: str | None = None,
    inherits_access: bool = False,
    link_for_where: Callable[[Any], PagedLink | None] | None = None,
    description: str,
) -> Any:
    """Pages of the documents that store this one's id at `via`, in `order` unless the client requests another.

    With `of` they store this one's value at that path instead; `inherits_access` as in Children. `link_for_where` gives
    another link for some wheres.
    """

    def children(model: Model | None) -> Children:
        parent_path = stored_path(model, of)[0] if of else "_id"
        child_path = stored_path(document, via)[0]
        return Children(document, child_path, Order.by(order), max_page_size, parent_path, inherits_access)

    return _connection(children, where, order_by, description, link_for_where=link_for_where)


def connection_by_ids(
    document: Document,
    via: str,
    *,
    where: WhereInput | None = None,
    order_by: OrderInput | None = None,
    description: str,
) -> Any:
    """Pages of the documents whose ids this one lists at `via`."""
    return _connection(lambda model: PagedByIds(document, stored_path(model, via)[0]), where, order_by, description)


def root_connection(
    document: Document,
    order: SortKey = BY_ID,
    *,
    where: WhereInput | None = None,
    order_by: OrderInput | None = None,
    scope: Callable[[Any], Filter] | None = None,
    description: str,
) -> Any:
    """Pages of all documents of a kind, or of those in the `scope` that follows from the client's where."""
    return _connection(lambda model: AllDocuments(document, Order.by(order)), where, order_by, description, scope=scope)


def lookup(document: Document, *keys: StrawberryArgument | tuple[StrawberryArgument, ...], description: str) -> Any:
    """The one document with the values of a unique key, which is one argument or several together."""
    keys_of_arguments = [key if isinstance(key, tuple) else (key,) for key in keys]
    names = tuple(tuple(part.python_name for part in key) for key in keys_of_arguments)
    paths = {name: stored_path(document, _attribute(name))[0] for key in names for name in key}
    arguments = [part for key in keys_of_arguments for part in key]
    return _field(lambda model, name: LookupField(document, paths, names), description, arguments)


def node_field(key: StrawberryArgument, *, description: str) -> Any:
    """The document of any kind that has the argument's id."""
    return _field(lambda model, name: NodeField(key.python_name), description, [key])


def nodes_field(keys: StrawberryArgument, *, max_ids: int, description: str) -> Any:
    """The documents of any kind that have the argument's ids, in that order."""
    return _field(lambda model, name: NodesField(keys.python_name, max_ids), description, [keys])


def computed(
    compute: Compute,
    *paths: str,
    paths_of: Callable[[Model | None], Iterable[str]] | None = None,
    stored_paths_of: Callable[[Model | None], Iterable[str]] | None = None,
    arguments: Sequence[StrawberryArgument] = (),
    finds_nodes: bool = False,
    description: str,
) -> Any:
    """Values that `compute` returns for all parents of a level, for which their values at `paths` are read.

    A field of an interface gives them as `paths_of` the document of each view that implements it, or as
    `stored_paths_of` it, by the names that the database knows. With `finds_nodes` the function finds rows of any kind,
    which the field shows itself if its type is an interface, or `held_nodes` below it: its argument `fields_of` is the
    NodeSelection that says what of them is selected.
    """

    def bind(model: Model | None, name: str) -> FieldSource:
        all_paths = paths_of(model) if paths_of else paths
        stored_paths = {stored_path(model, path)[0] for path in all_paths}
        stored_paths |= set(stored_paths_of(model) if stored_paths_of else ())
        return ComputedField(compute, frozenset(stored_paths), finds_nodes)

    return _field(bind, description, arguments)


def held_nodes(path: str | None = None, *, description: str) -> Any:
    """The object of any kind, or the list of them, whose rows are held at `path`, by default the field's own name."""
    return _field(lambda model, name: HeldNodesField(stored_path(model, path or name)[0]), description)


def argument(name: str, type_: Any, *, description: str, default: Any = strawberry.UNSET) -> StrawberryArgument:
    """An argument of a field."""
    return StrawberryArgument(name, None, StrawberryAnnotation(type_), description=description, default=default)


def _attribute(argument: str) -> str:
    """The document's name for an argument: `resource_ref` for `resource_id`."""
    return f"{argument.removesuffix('_id')}_ref" if argument.endswith("_id") else argument


def _field(
    bind: Bind,
    description: str,
    arguments: Sequence[StrawberryArgument] = (),
    name: str | None = None,
    deprecation_reason: str | None = None,
) -> Any:
    field = ViewField(bind=bind, description=description, graphql_name=name, deprecation_reason=deprecation_reason)
    field.arguments = list(arguments)
    return field


def _connection(
    link: Callable[[Model | None], Any],
    where: WhereInput | None,
    order_by: OrderInput | None,
    description: str,
    *,
    scope: Callable[[Any], Filter] | None = None,
    link_for_where: Callable[[Any], PagedLink | None] | None = None,
) -> Any:
    def bind(model: Model | None, name: str) -> FieldSource:
        to_filter, to_order = where.to_filter if where else None, order_by.to_order if order_by else None
        return ConnectionField(link(model), to_filter, to_order, scope, link_for_where)

    inputs = [
        *(
            [argument("where", where.type | None, description="Return only the objects that match these conditions.")]
            if where
            else []
        ),
        *(
            [argument("order_by", list[order_by.type] | None, description="Sort keys, the most significant first.")]  # type: ignore[name-defined]
            if order_by
            else []
        ),
    ]
    return _field(bind, description, [*page_arguments(), *inputs])


def page_arguments() -> list[StrawberryArgument]:
    """The arguments of a connection that select a page."""
    return [
        argument(
            "first",
            int | None,
            description="Number of items to return from the start of the list. Defaults to 20 when neither first nor "
            "last is given.",
        ),
        argument(
            "after",
            str | None,
            description="Return only the items after this cursor. An empty string counts as no cursor.",
        ),
        argument(
            "last",
            int | None,
            description="Number of items to return from the end of the list. Cannot be combined with first.",
        ),
        argument(
            "before",
            str | None,
            description="Return only the items before this cursor. An empty string counts as no cursor.",
        ),
    ]


def _rebind_inherited_fields(type_: type, document: Model | None) -> None:
    """Bind inherited fields to this view's document, whose stored paths may differ from the interface's."""
    definition = type_.__strawberry_definition__  # type: ignore[attr-defined]
    for number, field in enumerate(definition.fields):
        if isinstance(field, ViewField) and field.origin is not type_:
            own = copy.copy(field)
            own.field_source = own.bind(document, own.python_name)
            definition.fields[number] = own


def _description(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())


def _resolve_type(row: Any, info: Any, type_: Any) -> str:
    return NODE_VIEWS[kind_of(row["_id"])]
