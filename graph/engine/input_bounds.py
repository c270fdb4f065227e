"""Bounds on the values of arguments, checked before graphql-core and Strawberry turn them into Python objects.

Making an input object takes 10 to 30 µs, and translating one condition of a where about 100 µs more. A body of 1 MB has
room for 60,000 of them, which would block the event loop for seconds. So the raw values are measured first, at each
place where they are used: a variable that 30 fields share is coerced once and translated 30 times.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
    value_from_ast_untyped,
)

from graph.core.selections import fragments_of, names_variables
from graph.core.where import ORDER_INPUTS, WHERE_INPUTS
from graph.engine.limits import Limits
from graph.errors import LIMIT_EXCEEDED, RequestError


@dataclass(frozen=True)
class Argument:
    """An argument that holds lists or objects."""

    label: str
    """The names of the field and the argument, such as datasets.where."""
    type: GraphQLInputType
    value: ValueNode


@dataclass(frozen=True)
class InputBounds:
    """The bounds of one operation's arguments."""

    limits: Limits
    objects: int
    """Input objects in arguments without variables, counted at every place."""
    variable: list[tuple[Argument, int]]
    """Arguments that contain variables, and the number of places where each is used."""
    defaults: dict[str, Any]
    """The raw default values of variables."""

    def check(self, variables: dict[str, Any]) -> None:
        """Refuse variables that hold too many values, counted where they are used. Raises RequestError."""
        if not self.variable:
            return
        objects, values = self.objects, self.defaults | variables
        for argument, places in self.variable:
            given = value_from_ast_untyped(argument.value, values)
            objects += places * _Measure(self.limits, argument).objects_of(given)
            _check_objects(objects, self.limits)


def input_bounds(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, limits: Limits
) -> InputBounds:
    """The bounds of a valid operation's arguments. Raises RequestError when its literals already exceed them."""
    objects, variable = 0, []
    for argument, places in _Arguments(schema, document).of(operation).items():
        if names_variables(argument.value):
            variable.append((argument, places))
        else:
            given = value_from_ast_untyped(argument.value)
            objects += places * _Measure(limits, argument).objects_of(given)
            _check_objects(objects, limits)
    defaults = {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions or ()
        if one.default_value is not None
    }
    return InputBounds(limits, objects, variable, defaults)


class _Arguments:
    """Finds the arguments with lists or objects in a selection, once per fragment, with the number of their places."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = fragments_of(document)
        self._known: dict[str, Counter[int]] = {}
        self._found: dict[int, Argument] = {}

    def of(self, operation: OperationDefinitionNode) -> dict[Argument, int]:
        root = self._schema.get_root_type(operation.operation)
        counted = self._selections(root, operation.selection_set)
        return {self._found[key]: places for key, places in counted.items()}

    def _selections(self, type_: Any, node: SelectionSetNode) -> Counter[int]:
        counted: Counter[int] = Counter()
        for selection in node.selections:
            match selection:
                case FieldNode():
                    counted.update(self._field(type_, selection))
                case InlineFragmentNode(type_condition=condition, selection_set=below):
                    inner = self._schema.type_map[condition.name.value] if condition else type_
                    counted.update(self._selections(inner, below))
                case FragmentSpreadNode(name=name):
                    counted.update(self._fragment(name.value))
        return counted

    def _field(self, type_: Any, node: FieldNode) -> Counter[int]:
        field = self._schema.get_field(type_, node.name.value)
        assert field is not None
        counted: Counter[int] = Counter()
        for given in node.arguments or ():
            wanted = field.args[given.name.value].type
            if is_list_type(get_nullable_type(wanted)) or is_input_object_type(get_named_type(wanted)):
                label = f"{node.name.value}.{given.name.value}"
                self._found.setdefault(id(given), Argument(label, wanted, given.value))
                counted[id(given)] += 1
        if node.selection_set is not None:
            counted.update(self._selections(get_named_type(field.type), node.selection_set))
        return counted

    def _fragment(self, name: str) -> Counter[int]:
        if name not in self._known:
            fragment = self._fragments[name]
            type_ = self._schema.type_map[fragment.type_condition.name.value]
            self._known[name] = self._selections(type_, fragment.selection_set)
        return self._known[name]


class _Measure:
    """Measures the raw value of one argument. Values of the wrong shape are left to coercion."""

    def __init__(self, limits: Limits, argument: Argument) -> None:
        self._limits = limits
        self._argument = argument
        self._objects = 0

    def objects_of(self, value: Any) -> int:
        """The number of input objects in a value. Raises RequestError when it exceeds a bound."""
        self._conditions(self._argument.type, value, self._argument.label)
        return self._objects

    def _conditions(self, type_: GraphQLInputType, value: Any, label: str) -> int:
        """The number of conditions in a value, if it belongs to a where."""
        nullable = get_nullable_type(type_)
        if is_list_type(nullable):
            return self._of_list(nullable.of_type, value if isinstance(value, list) else [value], label)
        if is_input_object_type(nullable) and isinstance(value, dict):
            return self._of_object(nullable, value, label)
        return 1

    def _of_list(self, type_: GraphQLInputType, values: list[Any], label: str) -> int:
        named = get_named_type(type_)
        if named.name in WHERE_INPUTS:
            # Each holds at least one condition, so too many values need not be looked into.
            self._check_conditions(len(values))
        most = self._limits.order_keys if named.name in ORDER_INPUTS else self._limits.list_items
        if len(values) > most:
            raise _exceeded(f"{label} has {len(values):,} items; at most {most:,} are taken.")
        if not is_input_object_type(named):
            return 1
        return sum(self._conditions(type_, value, label) for value in values)

    def _of_object(self, type_: GraphQLInputObjectType, value: dict[str, Any], label: str) -> int:
        self._objects += 1
        _check_objects(self._objects, self._limits)
        counted = max(1, sum(self._of_fields(type_, value, label)))
        if type_.name in WHERE_INPUTS:
            self._check_conditions(counted)
        return counted

    def _check_conditions(self, counted: int) -> None:
        if counted > self._limits.conditions:
            most = f"at most {self._limits.conditions:,} are taken"
            raise _exceeded(f"{self._argument.label} has {counted:,} conditions or more; {most}.")

    def _of_fields(self, type_: GraphQLInputObjectType, value: dict[str, Any], label: str) -> Iterator[int]:
        for name, given in value.items():
            if (field := type_.fields.get(name)) is not None and given is not None:
                yield self._conditions(field.type, given, f"{label}.{name}")


def _check_objects(objects: int, limits: Limits) -> None:
    if objects > limits.input_objects:
        most = f"{limits.input_objects:,} input objects"
        raise _exceeded(f"The arguments hold more than {most}, counted at each place where they are used.")


def _exceeded(message: str) -> RequestError:
    return RequestError(message, LIMIT_EXCEEDED)
