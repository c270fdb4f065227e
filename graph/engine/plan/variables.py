"""The values of variables and arguments, with a fast path for values that need no coercion.

Most requests name one object by a variable. graphql-core resolves the variable's type, coerces its value and converts
the argument anew for each request, which costs more than reading the object from the database does here.
"""

from collections.abc import Callable
from typing import Any

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    ArgumentNode,
    FieldNode,
    GraphQLField,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    get_argument_values,
    get_variable_values,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from strawberry import Schema
from strawberry.types.arguments import StrawberryArgument, convert_arguments

from graph.engine.plan.row_codegen import FallbackToReference

UNCOERCED_TYPES = {"ID": str, "String": str, "Int": int, "Boolean": bool}
"""Scalars whose values need no coercion when they are of this Python type."""

ConvertArguments = Callable[[Any], dict[str, Any]]
"""From the values of variables to a field's arguments, by Python name."""


class Variables:
    """Reads the values of an operation's variables."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._definitions = operation.variable_definitions or ()
        signatures = [_plain_signature(schema, definition) for definition in self._definitions]
        self._plain = [signature for signature in signatures if signature is not None]
        self._all_plain = len(self._plain) == len(self._definitions)

    @property
    def only_string(self) -> str | None:
        """The name of the only variable, if its values are strings."""
        match self._plain, len(self._definitions):
            case [(signature, type_)], 1 if type_ is str:
                return signature.name
        return None

    def values(self, raw: dict[str, Any]) -> VariableValues | None:
        """The variables' values, None when they do not fit their types."""
        if self._all_plain and (plain := self._plain_values(raw)) is not None:
            return plain
        # The standard executor reports all errors.
        values = get_variable_values(self._schema, self._definitions, raw, max_errors=1)
        return values if isinstance(values, VariableValues) else None

    def _plain_values(self, raw: dict[str, Any]) -> VariableValues | None:
        sources, coerced = {}, {}
        for signature, type_ in self._plain:
            name = signature.name
            value = raw.get(name)
            if value.__class__ is not type_ or not _in_range(value):
                return None
            sources[name] = VariableValueSource(signature, value)
            coerced[name] = value
        return VariableValues(sources, coerced)


def _in_range(value: object) -> bool:
    return not isinstance(value, int) or GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT


def _plain_signature(
    schema: GraphQLSchema, definition: VariableDefinitionNode
) -> tuple[GraphQLVariableSignature, type] | None:
    signature = get_variable_signature(schema, definition)
    if not isinstance(signature, GraphQLVariableSignature):
        return None
    type_ = UNCOERCED_TYPES.get(str(signature.type).removesuffix("!"))
    return None if type_ is None else (signature, type_)


def python_names(schema: Schema, arguments: list[StrawberryArgument]) -> dict[str, str]:
    """The Python names of a field's arguments by those in the schema."""
    schema_name = schema.config.name_converter.from_argument
    return {schema_name(argument): argument.python_name for argument in arguments}


def only_variable(node: FieldNode, names: dict[str, str]) -> tuple[str, str] | None:
    """The Python name of a field's only argument, and the variable that is its value; None for other fields."""
    match node.arguments:
        case [ArgumentNode(name=name, value=VariableNode(name=variable))]:
            return names[name.value], variable.value
    return None


def argument_converter(
    schema: Schema, field: GraphQLField, node: FieldNode, arguments: list[StrawberryArgument]
) -> ConvertArguments:
    """A function that computes a field's arguments. It raises GraphQLError or FallbackToReference for unfit values."""
    direct = _direct_converter(field, node, python_names(schema, arguments))
    if direct is not None:
        return direct
    registry, config = schema.schema_converter.scalar_registry, schema.config

    def convert(variables: Any) -> dict[str, Any]:
        return convert_arguments(get_argument_values(field, node, variables), arguments, registry, config)

    return convert


def _direct_converter(field: GraphQLField, node: FieldNode, names: dict[str, str]) -> ConvertArguments | None:
    """The converter of a field whose arguments are all variables of plain types; None for other fields."""
    values = {argument.name.value: argument.value for argument in node.arguments or ()}
    if not values or any(argument.default_value is not Undefined for argument in field.args.values()):
        return None
    sources: list[tuple[str, str, bool]] = []
    for name, value in values.items():
        type_ = field.args[name].type
        if not isinstance(value, VariableNode) or str(type_).removesuffix("!") not in UNCOERCED_TYPES:
            return None
        sources.append((names[name], value.name.value, isinstance(type_, GraphQLNonNull)))

    def convert(variables: VariableValues) -> dict[str, Any]:
        coerced, arguments = variables.coerced, {}
        for python_name, variable, required in sources:
            if (value := coerced.get(variable)) is None and required:
                raise FallbackToReference("a required argument is null")
            if variable in coerced:
                arguments[python_name] = value
        return arguments

    return convert
