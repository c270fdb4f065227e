"""Compilation of an operation to a plan: a template for the answer, with nested fields for each level below."""

from collections.abc import Callable
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from strawberry import Schema

from graph.core.fields import (
    NODE_VIEWS,
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
from graph.core.projection import ALWAYS_READ, STRAWBERRY_FIELD, fields_above_nodes
from graph.core.selections import Collector, GroupedFields, uses_variables
from graph.engine.plan.connection_codegen import compile_connection
from graph.engine.plan.nested_pages import NestedPages
from graph.engine.plan.nested_reads import (
    Arguments,
    HeldNodes,
    NestedComputed,
    NestedField,
    NestedToMany,
    NestedToOne,
    PlanRun,
    RootLookup,
    RootNodes,
    held_nodes,
)
from graph.engine.plan.row_codegen import RowTemplate, UnsupportedByPlan, stored_value_code, value_code
from graph.engine.plan.variables import argument_converter, only_variable, python_names
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.page_request import PageRequest
from resolvers.reads.relations import Document, ToManyByIds, ToManyContaining, ToOne, ToOneBy
from resolvers.reads.rows import Fields
from resolvers.user_errors import Refusal


class Compiler:
    """Compiles one operation. Raises UnsupportedByPlan for operations that only the standard executor can answer."""

    def __init__(self, schema: Schema, collector: Collector) -> None:
        self.schema = schema
        self.collector = collector
        self._node_templates: dict[tuple[str, int], RowTemplate] = {}

    def operation(self, operation: OperationDefinitionNode) -> RowTemplate:
        """The template of the whole answer, whose only row is the root."""
        if operation.operation is not OperationType.QUERY:
            raise UnsupportedByPlan("only queries have plans")
        root = self.schema._schema.query_type
        assert root is not None
        return self.template(root, self.collector.fields(root, [operation.selection_set]))

    def template(self, type_: GraphQLObjectType, fields: GroupedFields) -> RowTemplate:
        """The template of rows of a type."""
        template = RowTemplate(type_.name)
        return template.compile(self._literal(type_, fields, template))

    def nested_template(self, nodes: list[FieldNode], type_: Any) -> RowTemplate:
        """The template of the rows that a field leads to."""
        if not isinstance(type_, GraphQLObjectType):
            raise UnsupportedByPlan(f"{type_} is abstract")
        return self.template(type_, self.collector.subfields(type_, nodes))

    def arguments(self, field: GraphQLField, node: FieldNode) -> Arguments:
        """A field's arguments, computed once when they contain no variable."""
        convert = argument_converter(self.schema, field, node, field.extensions[STRAWBERRY_FIELD].arguments)
        if uses_variables(node):
            return lambda run: convert(run.variables)
        constant = convert(None)
        return lambda run: constant

    def _literal(self, type_: GraphQLObjectType, fields: GroupedFields, template: RowTemplate) -> str:
        """Code for the dictionary of one row."""
        members: list[str] = []
        template.script.add_constant("{")
        for key, nodes in fields.items():
            template.script.add_constant(f'{"," if members else ""}"{key}":')
            members.append(f"{key!r}: {self._member(type_, nodes, template)}")
        template.script.add_constant("}")
        return f"{{{', '.join(members)}}}"

    def _member(self, type_: GraphQLObjectType, nodes: list[FieldNode], template: RowTemplate) -> str:
        name = nodes[0].name.value
        if name == "__typename":
            template.script.add_constant(f'"{type_.name}"')
            return repr(type_.name)
        field = type_.fields.get(name)
        field_source = getattr(field.extensions.get(STRAWBERRY_FIELD), "field_source", None) if field else None
        if field is None or field_source is None:
            raise UnsupportedByPlan(f"{type_.name}.{name} is not declared")
        template.required_paths |= field_source.required_paths
        match field_source:
            case StoredField():
                show = self._embedded_code(nodes, field, template)
                return stored_value_code(template, field_source.path, field.type, field_source.default, show)
            case EmbeddedField():
                part = get_named_type(field.type)
                assert isinstance(part, GraphQLObjectType)
                return self._literal(part, self.collector.subfields(part, nodes), template)
        response_name = (nodes[0].alias or nodes[0].name).value
        nested_field = self._nested_field(field_source, field, nodes)
        if isinstance(nested_field, NestedComputed) and nested_field.template is not None:
            # Embedded objects are made of dictionaries.
            template.script.give_up()
        return template.add_nested_field(response_name, nested_field)

    def _embedded_code(
        self, nodes: list[FieldNode], field: GraphQLField, template: RowTemplate
    ) -> Callable[[str], str]:
        def show(value: str) -> str:
            type_ = get_named_type(field.type)
            assert isinstance(type_, GraphQLObjectType)
            inner = RowTemplate(type_.name)
            embedded = inner.compile_embedded(self._literal(type_, self.collector.subfields(type_, nodes), inner))
            return f"{template.add_constant(embedded)}({value})"

        return show

    def _nested_field(self, field_source: FieldSource, field: GraphQLField, nodes: list[FieldNode]) -> NestedField:
        arguments = self.arguments(field, nodes[0])
        match field_source:
            case LinkField(link=ToOne() | ToOneBy() as link):
                template = self.nested_template(nodes, get_named_type(field.type))
                return NestedToOne(link, template, is_non_null_type(field.type), arguments, field_source.argument)
            case LinkField(link=ToManyByIds() | ToManyContaining() as link):
                return NestedToMany(link, self.nested_template(nodes, get_named_type(field.type)))
            case ConnectionField():
                return self._nested_pages(field_source, field, nodes, arguments)
            case LookupField():
                names = python_names(self.schema, field.extensions[STRAWBERRY_FIELD].arguments)
                template = self.nested_template(nodes, get_named_type(field.type))
                return RootLookup(field_source, template, arguments, only_variable(nodes[0], names))
            case NodeField():
                return RootNodes(
                    lambda run: [arguments(run)[field_source.argument]], self._templates_by_kind(nodes), is_list=False
                )
            case NodesField():
                return RootNodes(
                    lambda run: field_source.ids(arguments(run)), self._templates_by_kind(nodes), is_list=True
                )
            case HeldNodesField():
                is_list = is_list_type(get_nullable_type(field.type))
                return HeldNodes(field_source.path, self._templates_by_kind(nodes), is_list)
            case ComputedField():
                return self._computed_field(field_source, field, nodes, arguments)
        raise UnsupportedByPlan(f"{type(field_source).__name__} fields")

    def _nested_pages(
        self, field_source: ConnectionField, field: GraphQLField, nodes: list[FieldNode], arguments: Arguments
    ) -> NestedPages:
        type_ = get_named_type(field.type)
        assert isinstance(type_, GraphQLObjectType)
        connection = compile_connection(self, type_, self.collector.subfields(type_, nodes))
        page = None if uses_variables(nodes[0]) else self._constant_page(field_source, arguments)
        return NestedPages(field_source, arguments, connection, page)

    def _constant_page(self, field_source: ConnectionField, arguments: Arguments) -> PageRequest | None:
        """The page that constant arguments request; None when refused, which matters only if there are parents."""
        try:
            return field_source.page_request(arguments(PlanRun(None, None)))  # type: ignore[arg-type]
        except Refusal:
            return None

    def _computed_field(
        self, field_source: ComputedField, field: GraphQLField, nodes: list[FieldNode], arguments: Arguments
    ) -> NestedComputed:
        named_type = get_named_type(field.type)
        if field_source.finds_nodes and is_abstract_type(named_type):
            found = HeldNodes("found", self._templates_by_kind(nodes), is_list_type(get_nullable_type(field.type)))
            selects = self._node_selection(named_type, nodes, [found])
            return NestedComputed(field_source.compute, arguments, None, None, selects, found)
        if not is_leaf_type(named_type):
            template = self.nested_template(nodes, named_type)
            held = list(held_nodes(template))
            selection = self._node_selection(named_type, nodes, held) if field_source.finds_nodes else None
            return NestedComputed(field_source.compute, arguments, None, template, selection)
        template = RowTemplate(named_type.name)
        code = value_code(template, "r", field.type, lambda value: value)
        return NestedComputed(field_source.compute, arguments, template.compile(code).build)

    def _node_selection(
        self, type_: Any, nodes: list[FieldNode], held: list[HeldNodes]
    ) -> Callable[[PlanRun], NodeSelection]:
        """The selection of objects of any kind that are found while a field is computed."""
        fields = fields_above_nodes(type_, nodes, self.collector.fragments)
        names = frozenset(node.name.value for _, node in fields)

        def fields_of(document: Document) -> Fields:
            return ALWAYS_READ.union(*(one.template_of(document.kind).fields for one in held))

        def raw_bson(document: Document) -> bool:
            return all(one.template_of(document.kind).uses_raw_bson for one in held)

        return lambda run: NodeSelection(fields_of, raw_bson, names, run.loader.budget.expect_objects)

    def _templates_by_kind(self, nodes: list[FieldNode]) -> Callable[[str], RowTemplate]:
        """The template for a kind of document, compiled when the first id of that kind is requested."""

        def template_of(kind: str) -> RowTemplate:
            key = (kind, id(nodes))
            if key not in self._node_templates:
                self._node_templates[key] = self.nested_template(nodes, self.schema._schema.type_map[NODE_VIEWS[kind]])
            return self._node_templates[key]

        return template_of
