"""Projections: the stored fields that a selection needs, so that nothing else is read."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    is_abstract_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types import Info

from resolvers.reads.rows import Fields

STRAWBERRY_FIELD = GraphQLCoreConverter.DEFINITION_BACKREF
ALWAYS_READ = frozenset({"_id"})

Fragments = Mapping[str, FragmentDefinitionNode]
"""The fragments of a document by name."""


def fields_below(info: Info, type_name: str | None = None) -> Fields:
    """The stored paths needed by the fields selected below this one, of the named type or the field's own."""
    raw: GraphQLResolveInfo[Any] = info._raw_info
    # By all nodes: a fragment's field may be merged with another field here, and be alone elsewhere.
    key = (tuple(id(node) for node in raw.field_nodes), type_name, "fields")
    fields: Fields = info.context.loader.memoise(key, lambda: _collect_all(raw, type_name))
    return fields


def node_fields_below(info: Info, type_name: str) -> Fields:
    """The stored paths needed by objects of the named type whose rows are found while this field is computed."""
    raw: GraphQLResolveInfo[Any] = info._raw_info
    key = (tuple(id(node) for node in raw.field_nodes), type_name, "node fields")
    fields: Fields = info.context.loader.memoise(key, lambda: _node_fields(raw, type_name))
    return fields


def _node_fields(raw: GraphQLResolveInfo[Any], type_name: str) -> Fields:
    if is_abstract_type(get_named_type(raw.return_type)):
        return _collect_all(raw, type_name)
    paths = set(ALWAYS_READ)
    for field, node in fields_above_nodes(get_named_type(raw.return_type), raw.field_nodes, raw.fragments):
        if node.selection_set and _source_of(field).holds_nodes:
            _collect(raw.schema.type_map[type_name], node.selection_set, raw.fragments, paths, set())
    return frozenset(paths)


def fields_above_nodes(
    type_: Any, nodes: Iterable[FieldNode], fragments: Fragments
) -> list[tuple[GraphQLField, FieldNode]]:
    """The fields selected below fields of `type_`, down to those that show objects of any kind whose rows are held."""
    found: list[tuple[GraphQLField, FieldNode]] = []

    def collect(field_type: Any, node: FieldNode) -> None:
        field = getattr(field_type, "fields", {}).get(node.name.value)
        if field is None:
            return
        found.append((field, node))
        if node.selection_set and _source_of(field).shows_rows:
            _visit(get_named_type(field.type), node.selection_set, fragments, collect, set())

    for node in nodes:
        if node.selection_set:
            _visit(type_, node.selection_set, fragments, collect, set())
    return found


class _Undeclared:
    """The source of a field that is not declared by a view, such as __typename."""

    required_paths: Fields = frozenset()
    shares_document = shows_rows = True
    holds_nodes = False


def _source_of(field: GraphQLField) -> Any:
    return getattr(field.extensions.get(STRAWBERRY_FIELD), "field_source", _Undeclared)


def times_shown(info: Info) -> int:
    """How often each row of a page is shown: once in `nodes` and once as each edge's `node`; at least once."""
    raw: GraphQLResolveInfo[Any] = info._raw_info
    key = (tuple(id(node) for node in raw.field_nodes), "times shown")
    times: int = info.context.loader.memoise(key, lambda: _count_times_shown(raw))
    return times


def _count_times_shown(raw: GraphQLResolveInfo[Any]) -> int:
    # Imported here, because the plan imports this module.
    from graph.core.selections import Collector

    collector = Collector(raw.schema, raw.fragments, cast(Any, raw.variable_values))
    type_ = cast(GraphQLObjectType, get_named_type(raw.return_type))
    times, is_read = 0, False
    for nodes in collector.subfields(type_, list(raw.field_nodes)).values():
        name = nodes[0].name.value
        is_read = is_read or name in ("nodes", "edges", "pageInfo")
        if name == "nodes":
            times += 1
        if name == "edges":
            edge = cast(GraphQLObjectType, get_named_type(type_.fields["edges"].type))
            times += sum(inner[0].name.value == "node" for inner in collector.subfields(edge, nodes).values())
    return max(times, int(is_read))


def _collect_all(raw: GraphQLResolveInfo[Any], type_name: str | None) -> Fields:
    type_ = raw.schema.type_map[type_name] if type_name else get_named_type(raw.return_type)
    paths = set(ALWAYS_READ)
    for node in raw.field_nodes:
        if node.selection_set:
            _collect(type_, node.selection_set, raw.fragments, paths, set())
    return frozenset(paths)


def _collect(
    type_: Any, selections: SelectionSetNode, fragments: Fragments, paths: set[str], visited: set[str]
) -> None:
    """Add the stored paths that selections on a type need."""

    def collect(field_type: Any, node: FieldNode) -> None:
        # A fragment may be on another type of an interface, which has fields that this type lacks.
        field = getattr(field_type, "fields", {}).get(node.name.value)
        if field is None:
            return
        field_source = _source_of(field)
        paths.update(field_source.required_paths)
        if node.selection_set and field_source.shares_document:
            _visit(get_named_type(field.type), node.selection_set, fragments, collect, visited)

    _visit(type_, selections, fragments, collect, visited)


def _visit(
    type_: Any,
    selections: SelectionSetNode,
    fragments: Fragments,
    collect: Callable[[Any, FieldNode], None],
    visited: set[str],
) -> None:
    """Call `collect` with each field that selections select on a type, and the type; spread each fragment once."""
    for selection in selections.selections:
        match selection:
            case FieldNode():
                collect(type_, selection)
            case InlineFragmentNode():
                _visit(type_, selection.selection_set, fragments, collect, visited)
            case FragmentSpreadNode():
                name = selection.name.value
                if (key := f"{type_}:{name}") not in visited:
                    visited.add(key)
                    _visit(type_, fragments[name].selection_set, fragments, collect, visited)
