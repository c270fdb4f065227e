"""Every question that the schema lets a client ask about a world, found by walking the schema."""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice, product
from typing import Any

import orjson
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)

import documents
from graph.core.fields import NODE_VIEWS
from graph.core.projection import STRAWBERRY_FIELD
from graph.schema import schema
from resolvers.access.policies import POLICIES, allow_all
from tests.journeys.access_world import World
from tests.support.builders import COMMIT, REPOSITORY

TYPES: dict[str, Any] = dict(schema._schema.type_map)
QUERY: Any = TYPES["Query"]
NODE: Any = TYPES["Node"]

PERSONAL = {
    ("Viewer", "role"),
    ("User", "email"),
    ("AccessControl", "authorizedUsers"),
    ("DigitalTwin", "readers"),
    ("TransformDetails", "logs"),
    ("TransformDetails", "notebook"),
    ("JobParameter", "value"),
    ("Provenance", "gaps"),
    ("Lineage", "restricted"),
    # The time of the call.
    ("Lineage", "asOf"),
}
"""Fields that differ between viewers who both see the object; each has a test of its own."""

KINDS = {shown: kind for kind, shown in NODE_VIEWS.items()}
GUARDED = {
    "LogEntry",
    "Rejection",
    *(shown for kind, shown in NODE_VIEWS.items() if POLICIES[documents.by_kind(f"{kind}_")] is not allow_all),  # type: ignore[index]
}
"""Types whose objects are not for everybody."""

UNKNOWN = {kind: f"{kind}_ffffffffffffffffffffffff" for kind in NODE_VIEWS}


def is_node(type_: GraphQLNamedType) -> bool:
    """Whether objects of this type have an identity."""
    return type_ is NODE or (isinstance(type_, GraphQLObjectType) and NODE in type_.interfaces)


def is_paged(field: GraphQLField) -> bool:
    """Whether a field is a connection."""
    return {"first", "after", "last", "before"} <= set(field.args)


def is_grouped(field: GraphQLField) -> bool:
    """Whether a field counts objects instead of listing them."""
    return "groupBy" in field.args


def links() -> Iterator[tuple[str, str, GraphQLField]]:
    """Every field that leads from one type to objects that are read from the database: (type, name, field)."""
    for type_ in TYPES.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__") and type_.name != "Mutation":
            for name, field in type_.fields.items():
                shown = get_named_type(field.type)
                if (is_node(shown) or is_paged(field)) and not type_.name.endswith(("Connection", "Edge")):
                    yield type_.name, name, field


def target(field: GraphQLField) -> str:
    """The type of the objects a link leads to."""
    shown: Any = get_named_type(field.type)
    name: str = get_named_type(shown.fields["nodes"].type).name if is_paged(field) else shown.name
    return name


@cache
def selection(type_: Any, hops: int) -> str:
    """Everything that can be selected of a type without following more than `hops` links."""
    if isinstance(type_, GraphQLInterfaceType):
        return " ".join(
            ["__typename", *(name for name, field in type_.fields.items() if is_leaf_type(get_named_type(field.type)))]
        )
    if hops < 0:
        return "__typename id" if is_node(type_) else "__typename"
    parts = ["__typename"]
    for name, field in type_.fields.items():
        shown = get_named_type(field.type)
        if (type_.name, name) in PERSONAL:
            continue
        if is_leaf_type(shown):
            parts.append(name)
        elif hops > 0 or not (is_node(shown) or is_paged(field)):
            parts.append(f"{name}{_arguments(field)} {{ {below(field, hops)} }}")
    return " ".join(parts)


def below(field: GraphQLField, hops: int) -> str:
    """A selection of everything below a field, up to `hops` more links away."""
    shown: Any = get_named_type(field.type)
    if not is_paged(field):
        return selection(shown, hops - 1 if is_node(shown) else hops)
    node: Any = get_named_type(shown.fields["nodes"].type)
    edge = "id" if is_node(node) else "__typename"
    count = "totalCount" if "totalCount" in shown.fields else ""
    return f"nodes {{ {selection(node, hops - 1)} }} edges {{ cursor node {{ {edge} }} }} pageInfo {{ {PAGE} }} {count}"


PAGE = "hasNextPage hasPreviousPage startCursor endCursor"
REQUIRED = {"label": '"v1"', "repository": f'"{REPOSITORY}"', "commits": f'["{COMMIT}"]'}
"""Values of required arguments that lead to something in the world."""


def _arguments(field: GraphQLField) -> str:
    given = [f"{name}: {REQUIRED[name]}" for name, argument in field.args.items() if is_required_argument(argument)]
    given += ["first: 100"] if is_paged(field) else []
    return f"({', '.join(given)})" if given else ""


def every_question(world: World) -> Iterator[str]:
    """Each root field, each lookup by each key, each link of each kind of object."""
    for name, field in QUERY.fields.items():
        if is_paged(field):
            yield f"{{ {name}{_arguments(field)} {{ {below(field, 2)} }} }}"
        if is_grouped(field):
            yield from counted(world, name, field)
        yield from together(f"{name}({values}) {{ {below(field, 0)} }}" for values in _keys(world, field))
    yield f"{{ viewer {{ {selection(TYPES['Viewer'], 2)} }} }}"
    for kind, shown in NODE_VIEWS.items():
        ids = [*ids_of(world, kind), UNKNOWN[kind]]
        yield f"{{ nodes(ids: {_texts(ids)}) {{ ... on {shown} {{ {selection(TYPES[shown], 2)} }} }} }}"
        yield from together(
            f"node(id: {_text(id)}) {{ ... on {shown} {{ {selection(TYPES[shown], 0)} }} }}" for id in ids
        )


def counted(world: World, name: str, field: GraphQLField) -> Iterator[str]:
    """A count by everything that it can be grouped by, and under each condition."""
    grouped: Any = get_named_type(field.args["groupBy"].type)
    how = [f"groupBy: {one}" for one in grouped.values]
    by_instance = "groupBy: [INSTANCE, TOOL]"
    how += [
        f"{by_instance}, where: {{ {one} }}" for one in _conditions(world, get_named_type(field.args["where"].type))
    ]
    yield from together(f"{name}({one}) {{ {below(field, 1)} }}" for one in how)


def narrowed_lists(world: World) -> Iterator[str]:
    """Each list of what has a policy, wherever it hangs, under each condition, order and size."""
    for type_name, name, field in links():
        if is_paged(field) and target(field) in GUARDED:
            asked = [f"{name}({how}) {{ {_brief(field)} }}" for how in _narrowed(world, field)]
            # Lists below an object take the same arguments as those at the root, so a seventh of them is enough.
            for some in _chunks(asked if type_name == "Query" else asked[::7], 20):
                yield under(world, type_name, " ".join(f"a{number}: {one}" for number, one in enumerate(some)))


def together(asked: Iterable[str]) -> Iterator[str]:
    """Queries that ask some root fields at once, each of which may be null without the others."""
    for some in _chunks(asked, 20):
        aliased = (f"a{number}_{one.partition('(')[0]}: {one}" for number, one in enumerate(some))
        yield f"{{ {' '.join(aliased)} }}"


def ids_of(world: World, kind: str) -> list[str]:
    """The ids of a kind."""
    return [one.id for one in world.kept if one.kind == kind]


def continued_lists(cursors: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Each list after and before each of the cursors of its kind of object: (type, selection)."""
    for type_name, name, field in links():
        if is_paged(field) and target(field) in GUARDED:
            asked = [
                f"{name}({size}: 2, {side}: {_text(cursor)}{_cursor_order(how)}) {{ {_brief(field)} }}"
                for how in _orders(field)
                for cursor in sorted(cursors.get(cursor_key(type_name, name, field, how), ()))[::3]
                for size, side in (("first", "after"), ("last", "before"))
            ]
            for some in _chunks(asked, 20):
                yield type_name, " ".join(f"a{number}: {one}" for number, one in enumerate(some))


def lists_with_cursors() -> Iterator[tuple[str, str, str]]:
    """Each list in each order, with its cursors: (type, selection, key for `continued_lists`)."""
    for type_name, name, field in links():
        if is_paged(field) and target(field) in GUARDED:
            for how in _orders(field):
                asked = f"{name}(first: 100{_cursor_order(how)}) {{ edges {{ cursor }} }}"
                yield type_name, asked, cursor_key(type_name, name, field, how)


def cursor_key(type_name: str, name: str, field: GraphQLField, how: str) -> str:
    """Lists of the same key take each other's cursors: those of the same objects in the same order and scope."""
    scoped = field.extensions[STRAWBERRY_FIELD].field_source.scope is not None
    return f"{target(field)} {how}" if how and not scoped else f"{type_name}.{name} {how}"


def _orders(field: GraphQLField) -> list[str]:
    return ["", *(_order_by(field.args["orderBy"]) if "orderBy" in field.args else ())]


def _cursor_order(how: str) -> str:
    return f", {how}" if how else ""


def under(world: World, type_name: str, selected: str) -> str:
    """A query that selects something of every object of a type."""
    if type_name == "Query":
        return f"{{ {selected} }}"
    if type_name == "Viewer":
        return f"{{ viewer {{ {selected} }} }}"
    ids = ids_of(world, KINDS[type_name])
    return f"{{ nodes(ids: {_texts(ids)}) {{ ... on {type_name} {{ id {selected} }} }} }}"


def _brief(field: GraphQLField) -> str:
    shown: Any = get_named_type(field.type)
    node: Any = get_named_type(shown.fields["nodes"].type)
    rows = "nodes { id }" if is_node(node) else "edges { cursor }"
    count = "totalCount" if "totalCount" in shown.fields else ""
    return f"{rows} pageInfo {{ hasNextPage hasPreviousPage endCursor }} {count}"


def _keys(world: World, field: GraphQLField) -> Iterator[str]:
    """Arguments of a lookup, one key at a time, with every value that may lead somewhere."""
    together = {"resourceId", "identifier"} & set(field.args)
    if together:
        pairs = product([*ids_of(world, "resource"), UNKNOWN["resource"]], world.texts)
        yield from (f"resourceId: {_text(id)}, identifier: {_text(text)}" for id, text in pairs)
    # A version is one of the data at a URL.
    for name in () if is_paged(field) or is_grouped(field) else field.args.keys() - together - {"version"}:
        if name == "id":
            own = ids_of(world, KINDS.get(target(field), ""))
            strays = [ids_of(world, kind)[-1] for kind in KINDS.values()]
            yield from (f"id: {_text(id)}" for id in dict.fromkeys([*own, *strays, *UNKNOWN.values()]))
        elif name == "ids":
            yield f"ids: {_texts([*world.ids(), *UNKNOWN.values()][:100])}"
        else:
            yield from (f"{name}: {_text(text)}" for text in world.texts)


def _narrowed(world: World, field: GraphQLField) -> Iterator[str]:
    yield from ("first: 1", "last: 1", "first: 0", "last: 100")
    for how in _orders(field)[1:]:
        yield from (f"first: 100, {how}", f"last: 2, {how}")
    if "where" in field.args:
        conditions = list(_conditions(world, get_named_type(field.args["where"].type)))
        yield from (f"first: 100, where: {{ {one} }}" for one in conditions)


def _order_by(argument: GraphQLArgument) -> Iterator[str]:
    order: Any = get_named_type(argument.type)
    for name in order.fields["field"].type.of_type.values:
        for direction in ("ASC", "DESC"):
            yield f"orderBy: [{{ field: {name}, direction: {direction} }}]"


def _conditions(world: World, where: Any) -> Iterator[str]:
    """Conditions on every field of a where input, and some that combine them."""
    simple = [
        f"{name}: {value}"
        for name, field in where.fields.items()
        if get_named_type(field.type) is not where
        for value in _values(world, field.type)
    ]
    yield from simple
    if "not" in where.fields:
        yield from (f"not: {{ {one} }}" for one in simple)
        yield f"or: [{', '.join(f'{{ {one} }}' for one in simple)}]"
        yield f"and: [{{ {simple[0]} }}, {{ not: {{ {simple[-1]} }} }}]"


def _values(world: World, type_: Any) -> Iterator[str]:
    named: Any = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType):
        for operator, field in named.fields.items():
            yield from (f"{{ {operator}: {value} }}" for value in _values(world, field.type))
    elif is_list_type(get_nullable_type(type_)):
        listed: GraphQLList[Any] = get_nullable_type(type_)
        every = list(_values(world, listed.of_type))
        yield from ("[]", f"[{', '.join(every)}]")
    elif isinstance(named, GraphQLEnumType):
        yield from named.values
    else:
        yield from _scalars(world, named.name)


def _scalars(world: World, name: str) -> list[str]:
    """Values of a scalar that tell the world's objects apart."""
    match name:
        case "ID":
            kinds = (documents.User, documents.DigitalTwin, documents.ComponentVersion, documents.Resource)
            few = [*world.ids(*kinds)[:6], *world.ids(documents.Instance)[:2], *world.ids(documents.Generation)[:3]]
            return [_text(id) for id in (*few, UNKNOWN["twin"])]
        case "String":
            few = [one for one in world.texts if one[0] in "setw"]
            return [_text(text) for text in ("", "-", *few[::4], "secret")]
        case "Boolean":
            return ["true", "false", "null"]
        case "DateTime":
            return ['"2020-01-01T00:00:00Z"', '"2100-01-01T00:00:00Z"']
        case "BigInt" | "Int" | "Float":
            return ["0", "1"]
    raise LookupError(f"Say which values of {name} tell objects apart.")


def _text(value: str) -> str:
    return orjson.dumps(value).decode()


def _texts(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _chunks(values: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some
