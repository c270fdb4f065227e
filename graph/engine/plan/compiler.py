"""From the text of an operation to a plan: a shape for the answer, with a column for each nested level."""

from collections.abc import Callable
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
    is_leaf_type,
    is_non_null_type,
)
from strawberry import Schema

from graph.core.fields import (
    NODE_VIEWS,
    ComputedField,
    ConnectionField,
    EmbeddedField,
    FieldSource,
    LinkField,
    LookupField,
    NodeField,
    NodesField,
    StoredField,
)
from graph.core.projection import STRAWBERRY_FIELD
from graph.core.selections import Collected, Collector, uses_variables
from graph.engine.plan.connection_codegen import compile_connection
from graph.engine.plan.nested_pages import NestedPages
from graph.engine.plan.nested_reads import (
    Arguments,
    NestedComputed,
    NestedField,
    NestedToMany,
    NestedToOne,
    PlanRun,
    RootLookup,
    RootNodes,
)
from graph.engine.plan.row_codegen import NotPlanned, RowTemplate, stored_value, written
from graph.engine.plan.variables import converter, only_variable, python_names
from resolvers.reads.page import PageRequest
from resolvers.reads.relations import ToManyByIds, ToManyContaining, ToOne, ToOneBy
from resolvers.user_errors import Refusal


class Compiler:
    """Compiles one operation. Raises NotPlanned for operations that only the standard executor can answer."""

    def __init__(self, schema: Schema, collector: Collector) -> None:
        self.schema = schema
        self.collector = collector
        self._nodes: dict[tuple[str, int], RowTemplate] = {}

    def operation(self, operation: OperationDefinitionNode) -> RowTemplate:
        """The shape of the whole answer, whose one row is the root."""
        if operation.operation is not OperationType.QUERY:
            raise NotPlanned("only queries are planned")
        root = self.schema._schema.query_type
        assert root is not None
        return self.shape(root, self.collector.fields(root, [operation.selection_set]))

    def shape(self, type_: GraphQLObjectType, fields: Collected) -> RowTemplate:
        """The shape of rows of a type."""
        shape = RowTemplate(type_.name)
        return shape.finish(self._literal(type_, fields, shape))

    def shape_below(self, nodes: list[FieldNode], type_: Any) -> RowTemplate:
        """The shape of the rows that a field leads to."""
        if not isinstance(type_, GraphQLObjectType):
            raise NotPlanned(f"{type_} is abstract")
        return self.shape(type_, self.collector.subfields(type_, nodes))

    def arguments(self, field: GraphQLField, node: FieldNode) -> Arguments:
        """A field's arguments, computed once when they contain no variable."""
        converted = converter(self.schema, field, node, field.extensions[STRAWBERRY_FIELD].arguments)
        if uses_variables(node):
            return lambda run: converted(run.variables)
        constant = converted(None)
        return lambda run: constant

    def _literal(self, type_: GraphQLObjectType, fields: Collected, shape: RowTemplate) -> str:
        """Code for the dictionary that shows one row."""
        members: list[str] = []
        shape.script.say("{")
        for key, nodes in fields.items():
            shape.script.say(f'{"," if members else ""}"{key}":')
            members.append(f"{key!r}: {self._member(type_, nodes, shape)}")
        shape.script.say("}")
        return f"{{{', '.join(members)}}}"

    def _member(self, type_: GraphQLObjectType, nodes: list[FieldNode], shape: RowTemplate) -> str:
        name = nodes[0].name.value
        if name == "__typename":
            shape.script.say(f'"{type_.name}"')
            return repr(type_.name)
        field = type_.fields.get(name)
        field_source = getattr(field.extensions.get(STRAWBERRY_FIELD), "field_source", None) if field else None
        if field is None or field_source is None:
            raise NotPlanned(f"{type_.name}.{name} is not declared")
        shape.required_paths |= field_source.required_paths
        match field_source:
            case StoredField():
                show = self._embedded(nodes, field, shape)
                return stored_value(shape, field_source.path, field.type, field_source.default, show)
            case EmbeddedField():
                part = get_named_type(field.type)
                assert isinstance(part, GraphQLObjectType)
                return self._literal(part, self.collector.subfields(part, nodes), shape)
        label = (nodes[0].alias or nodes[0].name).value
        column = self._column(field_source, field, nodes)
        if isinstance(column, NestedComputed) and column.shape is not None:
            # Embedded objects are made of dictionaries.
            shape.script.leave()
        return shape.column(label, column)

    def _embedded(self, nodes: list[FieldNode], field: GraphQLField, shape: RowTemplate) -> Callable[[str], str]:
        def show(value: str) -> str:
            type_ = get_named_type(field.type)
            assert isinstance(type_, GraphQLObjectType)
            inner = RowTemplate(type_.name)
            one = inner.finish_one(self._literal(type_, self.collector.subfields(type_, nodes), inner))
            return f"{shape.name(one)}({value})"

        return show

    def _column(self, field_source: FieldSource, field: GraphQLField, nodes: list[FieldNode]) -> NestedField:
        arguments = self.arguments(field, nodes[0])
        match field_source:
            case LinkField(link=ToOne() | ToOneBy() as link):
                below = self.shape_below(nodes, get_named_type(field.type))
                return NestedToOne(link, below, is_non_null_type(field.type), arguments, field_source.argument)
            case LinkField(link=ToManyByIds() | ToManyContaining() as link):
                return NestedToMany(link, self.shape_below(nodes, get_named_type(field.type)))
            case ConnectionField():
                return self._pages(field_source, field, nodes, arguments)
            case LookupField():
                names = python_names(self.schema, field.extensions[STRAWBERRY_FIELD].arguments)
                below = self.shape_below(nodes, get_named_type(field.type))
                return RootLookup(field_source, below, arguments, only_variable(nodes[0], names))
            case NodeField():
                return RootNodes(
                    lambda run: [arguments(run)[field_source.argument]], self._node_shapes(nodes), several=False
                )
            case NodesField():
                return RootNodes(lambda run: field_source.ids(arguments(run)), self._node_shapes(nodes), several=True)
            case ComputedField():
                return self._values(field_source, field, nodes, arguments)
        raise NotPlanned(f"{type(field_source).__name__} fields")

    def _pages(
        self, field_source: ConnectionField, field: GraphQLField, nodes: list[FieldNode], arguments: Arguments
    ) -> NestedPages:
        type_ = get_named_type(field.type)
        assert isinstance(type_, GraphQLObjectType)
        made = compile_connection(self, type_, self.collector.subfields(type_, nodes))
        constant = None if uses_variables(nodes[0]) else self._constant_page(field_source, arguments)
        return NestedPages(field_source, arguments, made, constant)

    def _constant_page(self, field_source: ConnectionField, arguments: Arguments) -> PageRequest | None:
        """The page that constant arguments request; None when refused, which matters only if there are parents."""
        try:
            return field_source.page_request(arguments(PlanRun(None, None)))  # type: ignore[arg-type]
        except Refusal:
            return None

    def _values(
        self, field_source: ComputedField, field: GraphQLField, nodes: list[FieldNode], arguments: Arguments
    ) -> NestedComputed:
        named = get_named_type(field.type)
        if not is_leaf_type(named):
            return NestedComputed(field_source.compute, arguments, None, self.shape_below(nodes, named))
        if isinstance(named, GraphQLEnumType):
            raise NotPlanned("computed enums")
        shape = RowTemplate(named.name)
        code = written(shape, "r", field.type, lambda value: value)
        return NestedComputed(field_source.compute, arguments, shape.finish(code).build)

    def _node_shapes(self, nodes: list[FieldNode]) -> Callable[[str], RowTemplate]:
        """The shape for a kind of document, compiled when the first id of that kind is requested."""

        def shape_of(kind: str) -> RowTemplate:
            key = (kind, id(nodes))
            if key not in self._nodes:
                self._nodes[key] = self.shape_below(nodes, self.schema._schema.type_map[NODE_VIEWS[kind]])
            return self._nodes[key]

        return shape_of
