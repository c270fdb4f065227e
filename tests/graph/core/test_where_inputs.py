"""Inputs that filter lists: each has and, or and not, and enums are filtered by what they are and what they are not."""

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    get_named_type,
    get_nullable_type,
)

from documents.twins.output import OutputType
from graph.core.where import WHERE_INPUTS
from resolvers.limits import MAX_FILTER_VALUES
from tests.support.asking import ask, refusal
from tests.support.builders import (
    a_component,
    a_component_version,
    a_log_entry,
    a_step,
    a_twin,
    a_user,
    an_execution,
    an_output,
    keep,
)
from tests.support.core_schema import schema

pytestmark = pytest.mark.usefixtures("database")


def conditions(name: str) -> dict[str, Any]:
    where = schema.type_map[name]
    assert isinstance(where, GraphQLInputObjectType)
    fields: dict[str, Any] = where.fields
    return fields


@pytest.mark.parametrize("name", sorted(WHERE_INPUTS))
def test_each_where_can_be_combined(name: str) -> None:
    types = {key: str(field.type) for key, field in conditions(name).items()}

    assert types["and"] == types["or"] == f"[{name}!]"
    assert types["not"] == name


@pytest.mark.parametrize("name", sorted(WHERE_INPUTS))
def test_lists_of_values_are_deprecated_beside_a_filter(name: str) -> None:
    for key, field in conditions(name).items():
        kind = get_named_type(field.type)
        if isinstance(kind, GraphQLEnumType) and isinstance(get_nullable_type(field.type), GraphQLList):
            reason = field.deprecation_reason or ""
            instead = reason.removeprefix("Use ").removesuffix(".")
            assert str(conditions(name)[instead].type) == f"{kind.name}Filter", key


def test_conditions_are_filters() -> None:
    kinds = {
        f"{name}.{key}": get_named_type(field.type).name
        for name in WHERE_INPUTS
        for key, field in conditions(name).items()
        if key not in ("and", "or", "not") and not field.deprecation_reason
    }

    # A least level, and which generation's jobs are listed at all.
    assert [key for key, kind in sorted(kinds.items()) if not kind.endswith("Filter")] == [
        "JobWhere.generationId",
        "LogWhere.minLevel",
    ]


@pytest.mark.parametrize("name", [name for name in schema.type_map if name.endswith("Filter")])
def test_filters_of_enums_say_what_a_value_is_and_what_it_is_not(name: str) -> None:
    kind = schema.type_map.get(name.removesuffix("Filter"))
    if isinstance(kind, GraphQLEnumType):
        assert {key: str(field.type) for key, field in conditions(name).items()} == {
            "in": f"[{kind.name}!]",
            "notIn": f"[{kind.name}!]",
        }


async def test_steps_and_outputs_are_found_by_what_they_are_and_what_they_are_not() -> None:
    component = a_component()
    version = a_component_version(component)
    execution = an_execution(twin := a_twin(owner := a_user(), public=True))
    first = a_step(execution, key="a", type="interactive", component_version_ref=version.id, status="RUNNING")
    second = a_step(execution, key="b", ordinal=1, component_version_ref=version.id)
    table = an_output(second, public=True, file_name="table.csv")
    picture = an_output(second, public=True, file_name="all.zip", output_type=OutputType.SNAPSHOT)
    await keep(component, version, owner, twin, execution, first, second, table, picture)

    async def steps(**where: Any) -> list[str]:
        query = (
            "query ($where: StepWhere) { executions { nodes { steps(where: $where) { totalCount nodes { key } } } } }"
        )
        found = (await ask(query, where=where))["executions"]["nodes"][0]["steps"]
        assert found["totalCount"] == len(found["nodes"])
        return [step["key"] for step in found["nodes"]]

    async def outputs(**where: Any) -> list[str]:
        query = "query ($where: OutputWhere) { outputs(where: $where) { nodes { fileName } } }"
        return [output["fileName"] for output in (await ask(query, where=where))["outputs"]["nodes"]]

    assert await steps(statusFilter={"in": ["RUNNING"]}) == ["a"]
    assert await steps(statusFilter={"notIn": ["RUNNING", "FAILED"]}) == ["b"]
    assert await steps(statusFilter={"in": []}) == []
    assert await steps(statusFilter={"notIn": []}) == await steps(statusFilter={}) == ["a", "b"]
    assert await steps(statusFilter={"in": ["RUNNING", "PENDING"], "notIn": ["PENDING"]}) == ["a"]
    assert await steps(typeFilter={"in": ["EPHEMERAL"]}, status=["RUNNING"]) == []
    assert await steps(**{"or": [{"typeFilter": {"in": ["INTERACTIVE"]}}, {"not": {"status": ["RUNNING"]}}]}) == [
        "a",
        "b",
    ]
    assert await outputs(type={"in": ["SNAPSHOT"]}) == await outputs(outputType=["SNAPSHOT"]) == ["all.zip"]
    assert await outputs(type={"notIn": ["SNAPSHOT"]}) == ["table.csv"]
    assert await outputs(**{"not": {"fileName": {"startsWith": "all"}}}) == ["table.csv"]


async def test_lines_of_a_log_are_found_by_level_and_text() -> None:
    execution = an_execution(twin := a_twin(owner := a_user(), public=True))
    step = a_step(execution)
    lines = [a_log_entry(step, number, level=level) for number, level in enumerate(("INFO", "ERROR", "DEBUG"), 1)]
    await keep(owner, twin, execution, step, *lines)
    query = """query ($id: ID!, $where: LogWhere) { node(id: $id) { ... on Step { logs(where: $where) {
      nodes { sequence } } } } }"""

    async def found(**where: Any) -> list[int]:
        return [line["sequence"] for line in (await ask(query, id=step.id, where=where))["node"]["logs"]["nodes"]]

    assert await found(level={"in": ["ERROR", "DEBUG"]}) == [2, 3]
    assert await found(level={"notIn": ["ERROR"]}, minLevel="INFO") == [1]
    assert await found(message={"contains": "2"}) == await found(contains="2") == [2]
    assert await found(**{"or": [{"message": {"eq": "line 1"}}, {"minLevel": "ERROR"}]}) == [1, 2]
    assert await found(**{"not": {"contains": "2"}}) == [1, 3]


async def test_values_that_are_not_wanted_are_as_many_as_those_that_are() -> None:
    query = "query ($where: ExecutionWhere) { executions(where: $where) { nodes { id } } }"
    statuses = ["RUNNING"] * (MAX_FILTER_VALUES + 1)

    for operator in ("in", "notIn"):
        refused = await refusal(query, where={"statusFilter": {operator: statuses}})
        assert refused == ("LIMIT_EXCEEDED", f"1001 values in one `{operator}`; at most 1000 are allowed.")
        taken = await ask(query, where={"statusFilter": {operator: statuses[1:]}})
        assert taken == {"executions": {"nodes": []}}
