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
from graph.errors import LIMIT_EXCEEDED, RequestError
from graph.limits import Limits


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
    with_variables: list[tuple[Argument, int]]
    """Arguments that contain variables, and the number of places where each is used."""
    defaults: dict[str, Any]
    """The raw default values of variables."""

    def check(self, variables: dict[str, Any]) -> None:
        """Refuse variables that hold too many values, counted where they are used. Raises RequestError."""
        if not self.with_variables:
            return
        objects, values = self.objects, self.defaults | variables
        for argument, places in self.with_variables:
            value = value_from_ast_untyped(argument.value, values)
            objects += places * _ValueMeter(self.limits, argument).objects_in(value)
            _check_objects(objects, self.limits)


def input_bounds(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, limits: Limits
) -> InputBounds:
    """The bounds of a valid operation's arguments. Raises RequestError when its literals already exceed them."""
    objects, with_variables = 0, []
    for argument, places in _ArgumentFinder(schema, document).places_by_argument(operation).items():
        if names_variables(argument.value):
            with_variables.append((argument, places))
        else:
            value = value_from_ast_untyped(argument.value)
            objects += places * _ValueMeter(limits, argument).objects_in(value)
            _check_objects(objects, limits)
    defaults = {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value is not None
    }
    return InputBounds(limits, objects, with_variables, defaults)


class _ArgumentFinder:
    """Finds the arguments with lists or objects in a selection, once per fragment, with the number of their places."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = fragments_of(document)
        self._counts_by_fragment: dict[str, Counter[int]] = {}
        self._arguments: dict[int, Argument] = {}

    def places_by_argument(self, operation: OperationDefinitionNode) -> dict[Argument, int]:
        root = self._schema.get_root_type(operation.operation)
        counts = self._selections(root, operation.selection_set)
        return {self._arguments[key]: places for key, places in counts.items()}

    def _selections(self, type_: Any, node: SelectionSetNode) -> Counter[int]:
        counts: Counter[int] = Counter()
        for selection in node.selections:
            match selection:
                case FieldNode():
                    counts.update(self._field(type_, selection))
                case InlineFragmentNode(type_condition=condition, selection_set=selections):
                    inner = self._schema.type_map[condition.name.value] if condition else type_
                    counts.update(self._selections(inner, selections))
                case FragmentSpreadNode(name=name):
                    counts.update(self._fragment(name.value))
        return counts

    def _field(self, type_: Any, node: FieldNode) -> Counter[int]:
        field = self._schema.get_field(type_, node.name.value)
        assert field is not None
        counts: Counter[int] = Counter()
        for argument in node.arguments or ():
            argument_type = field.args[argument.name.value].type
            if is_list_type(get_nullable_type(argument_type)) or is_input_object_type(get_named_type(argument_type)):
                label = f"{node.name.value}.{argument.name.value}"
                self._arguments.setdefault(id(argument), Argument(label, argument_type, argument.value))
                counts[id(argument)] += 1
        if node.selection_set is not None:
            counts.update(self._selections(get_named_type(field.type), node.selection_set))
        return counts

    def _fragment(self, name: str) -> Counter[int]:
        if name not in self._counts_by_fragment:
            fragment = self._fragments[name]
            type_ = self._schema.type_map[fragment.type_condition.name.value]
            self._counts_by_fragment[name] = self._selections(type_, fragment.selection_set)
        return self._counts_by_fragment[name]


class _ValueMeter:
    """Measures the raw value of one argument. Values of the wrong shape are left to coercion."""

    def __init__(self, limits: Limits, argument: Argument) -> None:
        self._limits = limits
        self._argument = argument
        self._objects = 0

    def objects_in(self, value: Any) -> int:
        """The number of input objects in a value. Raises RequestError when it exceeds a bound."""
        self._conditions(self._argument.type, value, self._argument.label)
        return self._objects

    def _conditions(self, type_: GraphQLInputType, value: Any, label: str) -> int:
        """The number of conditions in a value, if it belongs to a where."""
        nullable = get_nullable_type(type_)
        if is_list_type(nullable):
            return self._conditions_in_list(nullable.of_type, value if isinstance(value, list) else [value], label)
        if is_input_object_type(nullable) and isinstance(value, dict):
            return self._conditions_in_object(nullable, value, label)
        return 1

    def _conditions_in_list(self, type_: GraphQLInputType, values: list[Any], label: str) -> int:
        named_type = get_named_type(type_)
        if named_type.name in WHERE_INPUTS:
            # Each value holds at least one condition, so that too many values need not be measured.
            self._check_conditions(len(values))
        limit = self._limits.order_keys if named_type.name in ORDER_INPUTS else self._limits.list_items
        if len(values) > limit:
            raise _limit_error(f"{label} has {len(values):,} items; at most {limit:,} are allowed.")
        if not is_input_object_type(named_type):
            return 1
        return sum(self._conditions(type_, value, label) for value in values)

    def _conditions_in_object(self, type_: GraphQLInputObjectType, value: dict[str, Any], label: str) -> int:
        self._objects += 1
        _check_objects(self._objects, self._limits)
        conditions = max(1, sum(self._conditions_by_field(type_, value, label)))
        if type_.name in WHERE_INPUTS:
            self._check_conditions(conditions)
        return conditions

    def _check_conditions(self, conditions: int) -> None:
        if conditions > self._limits.conditions:
            limit = f"at most {self._limits.conditions:,} are allowed"
            raise _limit_error(f"{self._argument.label} has {conditions:,} conditions or more; {limit}.")

    def _conditions_by_field(self, type_: GraphQLInputObjectType, value: dict[str, Any], label: str) -> Iterator[int]:
        for name, member in value.items():
            if (field := type_.fields.get(name)) is not None and member is not None:
                yield self._conditions(field.type, member, f"{label}.{name}")


def _check_objects(objects: int, limits: Limits) -> None:
    if objects > limits.input_objects:
        limit = f"{limits.input_objects:,} input objects"
        raise _limit_error(f"The arguments hold more than {limit}, counted at each place where they are used.")


def _limit_error(message: str) -> RequestError:
    return RequestError(message, LIMIT_EXCEEDED)
