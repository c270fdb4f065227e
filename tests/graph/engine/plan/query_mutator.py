"""Mutations that add to generated queries what hypothesis-graphql does not generate.

Values and cursors that occur in the data, deeper selections, variables, fragments on types and interfaces, `@skip` and
`@include`, aliases, `__typename`, and fields that are selected twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    ConstValueNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    parse_type,
    parse_value,
    print_ast,
    value_from_ast_untyped,
)

from graph.schema import schema
from tests.support.graph_world import HASH

SCHEMA = schema._schema
MAX_DEPTH = 9
MAX_FIELDS = 120
CODE = {"repository": ['"r"', '"r/s"'], "commits": [f'["{HASH}"]', f'["{HASH[:9]}", "a1b2c3d"]', '["main"]']}
"""Values of the required arguments of a connection. The first ones find something."""
ODD_IDS = ["", "step_none", "nokind", "user_", "reservation_1", "step_\u2028é", "$where", "7"]

Words = dict[str, list[str]]
Cursors = dict[tuple[str, str, str], list[str]]
"""By type, field and orderBy."""


@dataclass
class ValuePool:
    """Values that occur in the data at hand: ids by kind, texts, cursors."""

    ids: Words
    words: list[str]
    cursors: Cursors


@dataclass(frozen=True)
class MutatedQuery:
    """A query for two requests through the same plans, with other variables and another viewer in the second."""

    query: str
    variables: list[dict[str, Any]]
    viewers: list[str]
    null_conditions: bool
    """Whether a condition may be null, which is an error only where there are rows."""


class QueryMutator:
    """Mutates a query; all choices follow from `random`."""

    def __init__(self, random: Random, pool: ValuePool) -> None:
        self._random = random
        self._pool = pool
        self._fields = 0
        self._fragments: list[FragmentDefinitionNode] = []
        self._variables: list[VariableDefinitionNode] = []
        self._values: list[dict[str, Any]] = [{}, {}]
        self._null_conditions = False

    def mutate(self, document: DocumentNode, viewers: Sequence[str]) -> MutatedQuery:
        """Mutate the query of a document; returns it with the variables and viewers of two requests."""
        (operation,) = (
            definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)
        )
        root = SCHEMA.query_type
        assert root is not None
        selections = self._selections(root, operation.selection_set.selections, 0)
        mutated = OperationDefinitionNode(
            operation=OperationType.QUERY,
            name=NameNode(value="Q") if self._chance(0.5) else None,
            variable_definitions=tuple(self._variables),
            directives=(),
            selection_set=selections,
        )
        text = print_ast(DocumentNode(definitions=(mutated, *self._fragments)))
        return MutatedQuery(text, self._values, [self._random.choice(viewers) for _ in range(2)], self._null_conditions)

    def _chance(self, chance: float) -> bool:
        return self._random.random() < chance

    # Selections

    def _selections(self, type_: Any, nodes: Sequence[SelectionNode], depth: int) -> SelectionSetNode:
        selections: list[SelectionNode] = [self._selection(type_, node, depth) for node in nodes]
        if not depth and self._chance(0.2):
            selections += [self._selection(type_, node, depth) for node in self._renamed_copies(nodes)]
        if isinstance(type_, GraphQLInterfaceType):
            selections += self._interface_fragments()
        elif depth:
            selections += self._extra_fields(type_, depth)
        if self._chance(0.15):
            selections.insert(self._random.randrange(len(selections) + 1), _field("__typename", self._alias(0.3)))
        while selections and self._chance(0.25):
            selections = self._move_into_fragment(type_, selections)
        return SelectionSetNode(selections=tuple(selections))

    def _selection(self, type_: Any, node: SelectionNode, depth: int) -> SelectionNode:
        match node:
            case FieldNode():
                return self._field(type_, node, depth)
            case InlineFragmentNode():
                on = SCHEMA.type_map[node.type_condition.name.value] if node.type_condition else type_
                return InlineFragmentNode(
                    type_condition=node.type_condition,
                    directives=self._directives(0.05),
                    selection_set=self._selections(on, node.selection_set.selections, max(depth, 1)),
                )
        raise TypeError(f"hypothesis-graphql has learned to make {node}")

    def _extra_fields(self, type_: GraphQLObjectType, depth: int) -> list[SelectionNode]:
        """A few more fields under names of their own, which make queries deeper."""
        if self._fields > MAX_FIELDS or self._chance(0.5):
            return []
        chosen = self._random.sample(list(type_.fields), min(len(type_.fields), self._random.randint(1, 3)))
        fields: list[SelectionNode] = []
        for name in chosen:
            composite = is_composite_type(get_named_type(type_.fields[name].type))
            if composite and depth >= MAX_DEPTH:
                continue
            self._fields += 1
            below = SelectionSetNode(selections=()) if composite else None
            fields.append(self._field(type_, _field(name, NameNode(value=f"g{self._fields}"), below), depth))
        return fields

    def _renamed_copies(self, nodes: Sequence[SelectionNode]) -> list[FieldNode]:
        """Copies of the fields under other names, to be mutated independently."""
        return [
            FieldNode(
                name=node.name,
                alias=self._alias(1),
                arguments=node.arguments,
                directives=(),
                selection_set=node.selection_set,
            )
            for node in nodes
            if isinstance(node, FieldNode)
        ]

    def _interface_fragments(self) -> list[SelectionNode]:
        """Fragments on interfaces, some of which the row's type may not implement."""
        fragments: list[SelectionNode] = []
        while self._chance(0.5):
            on = self._random.choice(
                [type_ for type_ in SCHEMA.type_map.values() if isinstance(type_, GraphQLInterfaceType)]
            )
            if on.name not in ("Node", "Activity"):
                continue
            leaves = [name for name, field in on.fields.items() if is_leaf_type(get_named_type(field.type))]
            chosen = self._random.sample(leaves, min(len(leaves), 2))
            fragments.append(
                InlineFragmentNode(
                    type_condition=NamedTypeNode(name=NameNode(value=on.name)),
                    directives=(),
                    selection_set=SelectionSetNode(selections=tuple(_field(name, self._alias(0.5)) for name in chosen)),
                )
            )
        return fragments

    def _field(self, type_: Any, node: FieldNode, depth: int) -> FieldNode:
        if node.name.value == "__typename":
            return node
        declared: GraphQLField = type_.fields[node.name.value]
        self._fields += 1
        below = None
        if node.selection_set is not None:
            of = get_named_type(declared.type)
            below = self._selections(of, node.selection_set.selections, depth + 1)
            if not below.selections:
                below = SelectionSetNode(selections=(_field("__typename"),))
        return FieldNode(
            name=node.name,
            alias=node.alias or self._alias(0.05),
            arguments=self._arguments(type_, node, declared),
            directives=self._directives(0.06),
            selection_set=below,
        )

    def _alias(self, chance: float) -> NameNode | None:
        self._fields += 1
        return NameNode(value=f"a{self._fields}") if self._chance(chance) else None

    def _move_into_fragment(self, type_: Any, nodes: list[SelectionNode]) -> list[SelectionNode]:
        """Move some selections into a fragment, or repeat them there; returns all selections."""
        start = self._random.randrange(len(nodes))
        end = self._random.randint(start + 1, len(nodes))
        moved = SelectionSetNode(selections=tuple(nodes[start:end]))
        on = self._fragment_type(type_, nodes[start:end])
        spread: SelectionNode
        if self._chance(0.5):
            name = NameNode(value=f"F{len(self._fragments)}")
            condition = NamedTypeNode(name=NameNode(value=on))
            self._fragments.append(
                FragmentDefinitionNode(name=name, type_condition=condition, directives=(), selection_set=moved)
            )
            spread = FragmentSpreadNode(name=name, directives=self._directives(0.1), arguments=())
        else:
            optional = NamedTypeNode(name=NameNode(value=on)) if self._chance(0.7) else None
            spread = InlineFragmentNode(type_condition=optional, directives=self._directives(0.1), selection_set=moved)
        again = [spread] if self._chance(0.2) else []
        if self._chance(0.3):
            return [*again, *nodes, spread]
        return [*nodes[:start], spread, *nodes[end:], *again]

    def _fragment_type(self, type_: Any, nodes: Sequence[SelectionNode]) -> str:
        names = {node.name.value for node in nodes if isinstance(node, FieldNode)} - {"__typename"}
        interfaces: list[GraphQLInterfaceType] = list(getattr(type_, "interfaces", ()))
        fitting = [interface.name for interface in interfaces if names <= set(interface.fields)]
        plain = all(isinstance(node, FieldNode) for node in nodes)
        return self._random.choice([type_.name, *fitting]) if plain else str(type_.name)

    def _directives(self, chance: float) -> tuple[DirectiveNode, ...]:
        if not self._chance(chance):
            return ()
        names = self._random.sample(["skip", "include"], self._random.choice([1, 1, 2]))
        return tuple(self._directive(name) for name in names)

    def _directive(self, name: str) -> DirectiveNode:
        flag = self._random.choice([True, False]) if self._chance(0.5) else name == "include"
        value: ValueNode = BooleanValueNode(value=flag)
        if self._chance(0.6):
            other: Any = None if self._chance(0.02) else self._chance(0.5)
            self._null_conditions |= other is None
            type_ = "Boolean!" if self._chance(0.6) else "Boolean"
            value = self._variable(type_, flag, other, must_default=type_ == "Boolean")
        return DirectiveNode(name=NameNode(value=name), arguments=(_argument("if", value),))

    # Arguments

    def _arguments(self, type_: Any, node: FieldNode, declared: GraphQLField) -> tuple[ArgumentNode, ...]:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for name, argument in declared.args.items():
            if name in given or is_non_null_type(argument.type):
                given[name] = self._value(argument.type, given.get(name, NullValueNode()))
        if "last" in declared.args and self._chance(0.93):
            required = self._code_arguments(declared.args)
            given = required | self._page_arguments(type_, node.name.value, given)
        elif declared.args and "first" not in declared.args and self._chance(0.85):
            given = self._key_arguments(node.name.value, declared.args, given)
        return tuple(
            _argument(name, self._with_variables(declared.args[name].type, value)) for name, value in given.items()
        )

    def _page_arguments(self, type_: Any, name: str, given: dict[str, ValueNode]) -> dict[str, ValueNode]:
        """Arguments of a connection that select a page."""
        arguments: dict[str, ValueNode] = {
            key: given[key] for key in ("where", "orderBy") if key in given and self._chance(0.4)
        }
        size = self._random.choice([0, 1, 1, 2, 2, 3, 5, 100])
        end, cursor_name = self._random.choice([("first", "after"), ("last", "before")])
        if self._chance(0.3):
            end, cursor_name = ("", cursor_name)
        keys = [key for key in self._pool.cursors if key[:2] == (str(type_.name), name)]
        if keys and self._chance(0.4):
            key = self._random.choice(keys)
            arguments = {"orderBy": parse_value(key[2])} if key[2] else {}
            arguments[cursor_name] = StringValueNode(value=self._random.choice(self._pool.cursors[key]))
        if end:
            arguments[end] = IntValueNode(value=str(size))
        return arguments

    def _code_arguments(self, arguments: dict[str, GraphQLArgument]) -> dict[str, ValueNode]:
        """The required arguments of a connection."""
        return {
            name: parse_value(CODE[name][0] if self._chance(0.7) else self._random.choice(CODE[name]))
            for name, argument in arguments.items()
            if is_non_null_type(argument.type)
        }

    def _key_arguments(
        self, name: str, arguments: dict[str, GraphQLArgument], given: dict[str, ValueNode]
    ) -> dict[str, ValueNode]:
        """Arguments that identify an object: the required ones, else any one."""
        pool = self._pool
        values: dict[str, list[str]] = {
            "id": pool.ids.get(name, pool.ids[""]),
            "label": ["v1", "v2", "v3", "v9"],
        }
        required = [key for key, argument in arguments.items() if is_non_null_type(argument.type)]
        found: dict[str, ValueNode] = {}
        for key in required or [self._random.choice(list(arguments))]:
            if key == "ids":
                ids = self._random.choices([*pool.ids[""], *ODD_IDS[:3]], k=self._random.randint(0, 12))
                found[key] = ListValueNode(values=tuple(StringValueNode(value=id) for id in ids))
            elif key == "expiresIn":
                found[key] = IntValueNode(value=str(self._random.choice([0, 1, 900, 3600, 3601])))
            else:
                found[key] = StringValueNode(value=self._random.choice(values.get(key, pool.words)))
        return found

    def _value(self, type_: Any, given: ValueNode) -> ValueNode:
        """The value with ids and texts of the data in place of generated ones."""
        of: Any = get_nullable_type(type_)
        if isinstance(given, NullValueNode) and not is_non_null_type(type_):
            return given
        if is_list_type(of):
            items = given.values if isinstance(given, ListValueNode) else ()
            return ListValueNode(values=tuple(self._value(of.of_type, item) for item in items))
        if is_input_object_type(of) and isinstance(given, ObjectValueNode):
            members = {item.name.value: item.value for item in given.fields}
            return _object({name: self._value(of.fields[name].type, value) for name, value in members.items()})
        match of.name:
            case "ID":
                return StringValueNode(value=self._random.choice([*self._pool.ids[""], *ODD_IDS]))
            case "String" if self._chance(0.7) or not isinstance(given, StringValueNode):
                return StringValueNode(value=self._random.choice(self._pool.words))
        return given

    # Variables

    def _with_variables(self, type_: Any, value: ValueNode) -> ValueNode:
        """The value, or a variable in place of it or of a part of it."""
        if self._chance(0.25):
            plain = value_from_ast_untyped(value)
            return self._variable(str(type_), plain, self._second_value(type_, plain))
        of: Any = get_nullable_type(type_)
        if isinstance(value, ObjectValueNode) and value.fields and self._chance(0.5):
            members = {field.name.value: field.value for field in value.fields}
            name = self._random.choice(list(members))
            return _object(members | {name: self._with_variables(of.fields[name].type, members[name])})
        return value

    def _second_value(self, type_: Any, value: Any) -> Any:
        """A value of the variable for the second request."""
        of: Any = get_nullable_type(type_)
        if self._chance(0.02 if is_non_null_type(type_) else 0.1):
            return None
        match getattr(of, "name", ""):
            case "Int":
                return self._random.choice([0, 1, 2, 3, 101, value])
            case "String" | "ID":
                return self._random.choice([*self._pool.ids[""], *self._pool.words, value] if value else [value])
        return value

    def _variable(self, type_: str, value: Any, other: Any, must_default: bool = False) -> VariableNode:
        name = f"v{len(self._variables)}"
        default: ConstValueNode | None = None
        if must_default or (self._chance(0.3) and not type_.endswith("!")):
            default = None if value is None else _literal(type_, value)
        for values, sent in zip(self._values, (value, other), strict=True):
            if sent is not None or not type_.endswith("!"):
                values[name] = sent
            if default is not None and self._chance(0.5):
                values.pop(name, None)
        variable = VariableNode(name=NameNode(value=name))
        self._variables.append(
            VariableDefinitionNode(variable=variable, type=parse_type(type_), default_value=default, directives=())
        )
        return variable


def _literal(type_: str, value: Any) -> ConstValueNode | None:
    """A literal for a simple value; None if writing it would need its type."""
    match value, type_.strip("!"):
        case bool(), "Boolean":
            return BooleanValueNode(value=value)
        case int(), "Int":
            return IntValueNode(value=str(value))
        case str(), "String" | "ID":
            return StringValueNode(value=value)
        case str(), _ if type_[0] != "[" and value.isupper():
            return EnumValueNode(value=value)
    return None


def _object(members: dict[str, ValueNode]) -> ObjectValueNode:
    fields = (ObjectFieldNode(name=NameNode(value=name), value=value) for name, value in members.items())
    return ObjectValueNode(fields=tuple(fields))


def _field(name: str, alias: NameNode | None = None, below: SelectionSetNode | None = None) -> FieldNode:
    return FieldNode(name=NameNode(value=name), alias=alias, arguments=(), directives=(), selection_set=below)


def _argument(name: str, value: ValueNode) -> ArgumentNode:
    return ArgumentNode(name=NameNode(value=name), value=value)
