"""Field collection: the fields that selection sets select on one concrete type.

It follows "CollectFields" of the GraphQL specification: fragments are spread, @skip and @include are applied, and
fields of one response name are merged, in order of first appearance.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    Visitor,
    is_abstract_type,
    visit,
)

GroupedFields = dict[str, list[FieldNode]]
"""Field nodes by response name, in the order of the answer."""


@dataclass(frozen=True)
class Collector:
    """Collects the fields of one operation."""

    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    condition_values: dict[str, bool]
    """The values of the variables in @skip and @include."""

    def fields(self, type_: GraphQLObjectType, nodes: Iterable[SelectionSetNode | None]) -> GroupedFields:
        """The fields that the selection sets select on a type."""
        fields: GroupedFields = {}
        spread: set[str] = set()
        for node in nodes:
            if node is not None:
                self._collect(type_, node, fields, spread)
        return fields

    def subfields(self, type_: GraphQLObjectType, fields: list[FieldNode]) -> GroupedFields:
        """The fields that merged field nodes select on their type."""
        return self.fields(type_, (field.selection_set for field in fields))

    def _collect(
        self, type_: GraphQLObjectType, node: SelectionSetNode, fields: GroupedFields, spread: set[str]
    ) -> None:
        for selection in node.selections:
            if not self._is_included(selection):
                continue
            match selection:
                case FieldNode():
                    name = selection.alias or selection.name
                    fields.setdefault(name.value, []).append(selection)
                case InlineFragmentNode():
                    if self._applies(selection.type_condition, type_):
                        self._collect(type_, selection.selection_set, fields, spread)
                case FragmentSpreadNode():
                    self._spread(type_, selection.name.value, fields, spread)

    def _spread(self, type_: GraphQLObjectType, name: str, fields: GroupedFields, spread: set[str]) -> None:
        if name in spread:
            return
        spread.add(name)
        fragment = self.fragments[name]
        if self._applies(fragment.type_condition, type_):
            self._collect(type_, fragment.selection_set, fields, spread)

    def _applies(self, condition: Any, type_: GraphQLObjectType) -> bool:
        if condition is None or condition.name.value == type_.name:
            return True
        condition_type = self.schema.type_map[condition.name.value]
        return is_abstract_type(condition_type) and self.schema.is_sub_type(condition_type, type_)

    def _is_included(self, selection: SelectionNode) -> bool:
        for directive in selection.directives or ():
            if directive.name.value == "skip" and self._condition(directive):
                return False
            if directive.name.value == "include" and not self._condition(directive):
                return False
        return True

    def _condition(self, directive: DirectiveNode) -> bool:
        value = _condition_of(directive)
        if isinstance(value, VariableNode):
            return self.condition_values[value.name.value]
        return isinstance(value, BooleanValueNode) and value.value


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """The document's fragments by name."""
    return {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }


def condition_variables(document: DocumentNode) -> tuple[str, ...]:
    """The variables that @skip and @include use, anywhere in the document."""
    finder = _ConditionVariables()
    visit(document, finder)
    return tuple(sorted(finder.names))


def uses_variables(node: FieldNode) -> bool:
    """Whether a field's own arguments use variables."""
    return any(names_variables(argument.value) for argument in node.arguments or ())


def names_variables(value: ValueNode) -> bool:
    """Whether a value in the document is or contains a variable."""
    finder = _VariableFinder()
    visit(value, finder)
    return finder.has_variables


def _condition_of(directive: DirectiveNode) -> ValueNode:
    (condition,) = directive.arguments or ()
    return condition.value


class _ConditionVariables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        if node.name.value in ("skip", "include") and isinstance(value := _condition_of(node), VariableNode):
            self.names.add(value.name.value)


class _VariableFinder(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.has_variables = False

    def enter_variable(self, *_: Any) -> None:
        self.has_variables = True
