"""The schema as clients rely on it: as committed, as the contract names it, and described throughout."""

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    print_ast,
)
from graphql.utilities import find_breaking_changes

from graph.commands.breaking_changes import ON_PURPOSE, by_remedy
from graph.schema import as_text
from tests.support.core_schema import schema as core
from tests.support.needs import PROJECT, need_shared

NOT_SERVED_YET: set[str] = set()
"""Types of the usage family."""

FIELDS_NOT_SERVED_YET: dict[str, set[str]] = {}

NULLABLE_SINCE = {"Execution.digitalTwin", "Step.execution", "Output.step"}
"""Promised never to be null, which hid a whole list from those who may see its rows but not where these lead."""

OPTIONAL_SINCE = {"CreateExecutionInput.steps"}
"""Promised to be required, and left out by those who run a workflow."""

assert core.mutation_type is not None
mutations = core.mutation_type.fields


def the_contract() -> dict[str, GraphQLNamedType]:
    return build_schema((need_shared("design") / "target.graphql").read_text(encoding="utf-8")).type_map


def test_the_committed_schema_is_the_one_that_is_served() -> None:
    committed = (PROJECT / "schema.graphql").read_text(encoding="utf-8")

    assert committed == as_text(), "run `make schema` and commit schema.graphql"


def test_every_type_field_argument_and_value_is_described() -> None:
    missing = [
        name for name, type_ in core.type_map.items() if not name.startswith("__") for name in _undescribed(type_)
    ]

    assert missing == []


def test_the_schema_keeps_every_promise_of_the_contract() -> None:
    broken = [
        difference
        for name, promised in the_contract().items()
        if not name.startswith("__") and _is_asked_of(name)
        for difference in _differences(name, promised, core.type_map.get(name))
    ]

    assert broken == []


def test_each_mutation_has_a_payload_of_its_own() -> None:
    assert {name: str(field.type) for name, field in mutations.items()} == {
        name: f"{name[0].upper()}{name[1:]}Payload!" for name in mutations
    }


def test_each_payload_keeps_the_promises_of_the_one_that_was_shared() -> None:
    contract = the_contract()
    promised = {name: get_named_type(field.type) for name, field in contract["Mutation"].fields.items()}  # type: ignore[attr-defined]

    broken = [
        difference
        for name, payload in promised.items()
        for difference in _differences(name, payload, get_named_type(mutations[name].type))
    ]

    assert broken == []


def test_what_breaks_clients_of_the_contract_is_on_purpose() -> None:
    promised = build_schema((need_shared("design") / "target.graphql").read_text(encoding="utf-8"))

    changes = by_remedy(change.description for change in find_breaking_changes(promised, core))

    assert changes.pop(None) == ["BigIntFilter was removed."], "It is used by nothing."
    assert len(changes) == 2


def test_the_changelog_says_of_each_breaking_change_what_to_do_instead() -> None:
    changelog = " ".join((PROJECT / "CHANGELOG.md").read_text(encoding="utf-8").replace("`", "").split())

    assert [remedy for remedy in ON_PURPOSE.values() if f"**Breaking:** {remedy[:-1]}" not in changelog] == []


def test_nothing_is_excused_from_the_contract_once_it_is_served() -> None:
    served_types = NOT_SERVED_YET & set(core.type_map)
    served_fields = {
        f"{name}.{field}"
        for name, fields in FIELDS_NOT_SERVED_YET.items()
        for field in fields & set(core.type_map[name].fields)  # type: ignore[attr-defined]
    }

    assert (served_types, served_fields) == (set(), set())


def _is_asked_of(name: str) -> bool:
    """Inputs and enums of types that are not served yet are not either."""
    return name in core.type_map or name in SERVED_NAMES


SERVED_NAMES = {
    "Organisation", "Resource", "Dataset", "DatasetVersion", "Distribution", "Transform", "User", "DigitalTwin",
    "Component", "ComponentVersion", "Execution", "Step", "Output", "Result", "Viewer", "Role", "SignedUrl",
    "UserError", "IngestTransformInput", "IngestComponentInput", "CreateDigitalTwinInput", "StepWhere", "OutputWhere",
    "ExecutionWhere", "DatasetVersionOrder", "RevisionConflict", "InvalidState", "Node", "Activity", "LogConnection",
}  # fmt: skip


def _differences(name: str, promised: GraphQLNamedType, served: GraphQLNamedType | None) -> list[str]:
    if served is None:
        return [f"{name} is missing"]
    if isinstance(promised, GraphQLEnumType) and isinstance(served, GraphQLEnumType):
        return [f"{name}.{value} is missing" for value in promised.values if value not in served.values]
    if not isinstance(promised, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        return []
    excused = FIELDS_NOT_SERVED_YET.get(name, set())
    found = [
        difference
        for field, declared in promised.fields.items()
        if field not in excused
        for difference in _field_differences(f"{name}.{field}", declared, served.fields.get(field))  # type: ignore[attr-defined]
    ]
    if isinstance(promised, GraphQLObjectType | GraphQLInterfaceType):
        interfaces = {one.name for one in served.interfaces}  # type: ignore[attr-defined]
        found += [f"{name} is no {one.name}" for one in promised.interfaces if one.name not in interfaces]
    return found


def _field_differences(name: str, promised: object, served: object) -> list[str]:
    if served is None:
        return [f"{name} is missing"]
    found = []
    type_ = str(served.type if name.startswith("Mutation.") else promised.type)  # type: ignore[attr-defined]
    if str(served.type) != (type_.removesuffix("!") if name in NULLABLE_SINCE else type_):  # type: ignore[attr-defined]
        found.append(f"{name} is {served.type}, not {type_}")  # type: ignore[attr-defined]
    if _default(promised) != _default(served) and name not in OPTIONAL_SINCE:
        found.append(f"{name} is {_default(served)} by default, not {_default(promised)}")
    for argument, declared in getattr(promised, "args", {}).items():
        found += _field_differences(f"{name}({argument})", declared, served.args.get(argument))  # type: ignore[attr-defined]
    return found


def _default(declared: object) -> str:
    literal = getattr(declared.ast_node, "default_value", None)  # type: ignore[attr-defined]
    return print_ast(literal) if literal else "nothing"


def _undescribed(type_: GraphQLNamedType) -> list[str]:
    missing = [] if type_.description else [type_.name]
    for name, value in getattr(type_, "values", {}).items():
        missing += [] if value.description else [f"{type_.name}.{name}"]
    for name, field in getattr(type_, "fields", {}).items():
        missing += [] if field.description else [f"{type_.name}.{name}"]
        missing += [
            f"{type_.name}.{name}({one})" for one, arg in getattr(field, "args", {}).items() if not arg.description
        ]
    return missing
