"""Names that repeated their type's: they go on working beside those that say it once."""

import re
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
)

from documents.twins.output import OutputType
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import (
    a_component,
    a_component_version,
    a_step,
    a_twin,
    a_user,
    an_execution,
    an_output,
    keep,
)
from tests.support.core_schema import schema
from tests.support.uploading import a_running_step, refusal_of, register

pytestmark = pytest.mark.usefixtures("database")

ELSEWHERE = {"bucket": "another-bucket", "key": "runs/1/data.csv"}
ROLES = re.compile(r"(Input|Where|OrderField|Order|Payload|Connection|Edge|Filter)$")
KEPT = {"ExtendLeaseInput.leaseSeconds", "IngestComponentPayload.componentVersion", "ToolUsage.toolVersion"}
"""Names that say of which of several things something is."""


def words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def members(type_: GraphQLNamedType) -> dict[str, Any]:
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        return dict(type_.fields)
    return dict(type_.values) if isinstance(type_, GraphQLEnumType) else {}


def repeats(type_: str, name: str) -> bool:
    """Whether a name of several words begins with the first or the last word of its type's, and is no reference."""
    of_type, own = words(ROLES.sub("", type_)), words(name)
    return len(own) > 1 and own[0] in (of_type[0], of_type[-1]) and own[-1] not in ("errors", "id", "key")


def test_no_name_repeats_its_types_unless_it_is_deprecated() -> None:
    repeating = {
        f"{type_.name}.{name}"
        for type_ in schema.type_map.values()
        if not type_.name.startswith("__")
        for name, member in members(type_).items()
        if repeats(type_.name, name.lower() if name.isupper() else name) and not member.deprecation_reason
    }

    assert repeating <= KEPT


def test_what_is_deprecated_names_what_is_there_instead() -> None:
    for type_ in schema.type_map.values():
        for name, member in members(type_).items():
            if not type_.name.startswith("__") and member.deprecation_reason:
                instead = member.deprecation_reason.removeprefix("Use ").removesuffix(".")
                assert instead in members(type_), f"{type_.name}.{name}"


async def test_deprecated_fields_show_what_those_show_that_replace_them() -> None:
    component = a_component(component_name="weaver")
    version = a_component_version(component, component_version="0.9")
    execution = an_execution(twin := a_twin(owner := a_user(), public=True))
    first = a_step(execution, key="a", component_version_ref=version.id)
    second = a_step(execution, key="b", ordinal=1, depends_on=[first.id])
    output = an_output(first, file_name="a.csv", file_size=4, file_type="text/csv")
    picture = an_output(second, output_type=OutputType.SNAPSHOT)
    await keep(component, version, owner, twin, execution, first, second, output, picture)

    found = await ask(
        """{
          components(where: {componentName: {eq: "weaver"}}, orderBy: [{field: COMPONENT_NAME}]) { nodes {
            name componentName versions { nodes { declaredVersion componentVersion } } } }
          executions { nodes {
            workflowSchema { executor executorVersion executorSchema
              workflowExecutor workflowExecutorVersion workflowExecutorSchema }
            steps { nodes {
              outputs { nodes { type outputType } }
              inputFiles { nodes { name fileName sizeBytes fileSize mediaType fileType } } } } } }
        }""",
        ADMIN,
    )

    (shown,) = found["components"]["nodes"]
    assert shown["name"] == shown["componentName"] == "weaver"
    assert shown["versions"]["nodes"] == [{"declaredVersion": "0.9", "componentVersion": "0.9"}]
    (run,) = found["executions"]["nodes"]
    workflow = run["workflowSchema"]
    assert [workflow["executor"], workflow["executorVersion"], workflow["executorSchema"]] == [
        workflow["workflowExecutor"],
        workflow["workflowExecutorVersion"],
        workflow["workflowExecutorSchema"],
    ]
    steps = run["steps"]["nodes"]
    assert [step["outputs"]["nodes"] for step in steps] == [
        [{"type": "OUTPUT", "outputType": "OUTPUT"}],
        [{"type": "SNAPSHOT", "outputType": "SNAPSHOT"}],
    ]
    assert steps[1]["inputFiles"]["nodes"] == [
        {
            "name": "a.csv",
            "fileName": "a.csv",
            "sizeBytes": "4",
            "fileSize": "4",
            "mediaType": "text/csv",
            "fileType": "text/csv",
        }
    ]


@pytest.mark.parametrize(
    "given", [{"type": "SNAPSHOT"}, {"outputType": "SNAPSHOT"}, {"type": "SNAPSHOT", "outputType": "SNAPSHOT"}]
)
async def test_an_output_is_registered_under_either_name_of_its_type(given: dict[str, str]) -> None:
    step = await a_running_step(a_user(), WORKER.key)

    payload = await register(WORKER, step, **given, **ELSEWHERE)

    assert payload["output"]["type"] == "SNAPSHOT"


async def test_two_types_of_one_output_are_refused() -> None:
    step = await a_running_step(a_user(), WORKER.key)

    payload = await register(WORKER, step, type="OUTPUT", outputType="SNAPSHOT", **ELSEWHERE)

    assert refusal_of(payload) == ("VALIDATION", ["input", "type"])
    assert (await ask("{ outputs { nodes { id } } }", ADMIN))["outputs"]["nodes"] == []
