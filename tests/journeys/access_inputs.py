"""Inputs for every mutation, built from what the schema says of them."""

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_input_field,
)

from tests.journeys.access_queries import TYPES, UNKNOWN, ids_of
from tests.journeys.access_world import World

MARK = "hostile"
ODTP_YML = """\
component-name: example
component-author: somebody
component-version: 1.0.0
component-repository: https://code.example/example
component-type: ephemeral
"""
CSVW = '{"@context": "http://www.w3.org/ns/csvw", "url": "births.csv", "dc:title": "Births", "dc:identifier": "births"}'

TEXTS = {
    "url": "https://new.example",
    "organisationUrl": "https://new.example",
    "landingPage": "https://new.example/page",
    "repoLink": "https://code.example/new",
    "commit": "0123456789abcdef",
    "commitHash": "0123456789abcdef",
    "sha256": "0" * 64,
    "mediaType": "text/csv",
    "fileType": "text/csv",
    "email": "somebody@people.example",
    "odtpYml": ODTP_YML,
    "csvwText": CSVW,
    "logs": "https://new.example/logs",
    "notebook": "https://new.example/notebook",
    "ports": "80:80",
    "stepKey": "0",
    "identifier": "1.5",
    "uuid": "11111111-1111-4111-8111-111111111111",
}
KIND_OF_ID = {
    "organisationId": "organisation",
    "duplicateIds": "organisation",
    "resourceId": "resource",
    "ownerId": "user",
    "userId": "user",
    "transformId": "transform",
    "digitalTwinId": "twin",
    "componentVersionId": "release",
    "executionId": "execution",
    "workflowId": "workflow",
    "outputIds": "output",
    "addOutputIds": "output",
    "removeOutputIds": "output",
    "fromStepId": "step",
    "stepId": "step",
    "activityId": "step",
    "authorizedUserIds": "user",
    "authorizeUserIds": "user",
    "revokeUserIds": "user",
    "ownerIds": "user",
    "instanceId": "instance",
    "archiveIds": "archive",
    "generationId": "generation",
    "expectedActiveGenerationId": "generation",
    # Uploads belong to who began them, and there is none in the world.
    "uploadId": "archive",
}
KIND_OF_INPUT = {
    "UpdateDigitalTwinInput": "twin",
    "UpdateWorkflowInput": "workflow",
    "UpdateDigitalTwinAccessInput": "twin",
    "TransferDigitalTwinInput": "twin",
    "UpdateOrganisationInput": "organisation",
    "MergeOrganisationsInput": "organisation",
    "UpdateResourceInput": "resource",
    "DeprecateComponentVersionInput": "release",
    "UpdateResultInput": "result",
    "UsedInput": "output",
    "UpdateOutputAccessInput": "output",
    "CancelExecutionInput": "execution",
    "ExtendLeaseInput": "step",
    "CompleteActivityInput": "step",
    "ReleaseActivityInput": "step",
    "UpdateInstanceInput": "instance",
    "RotateInstanceKeyInput": "instance",
    "CancelIngestionInput": "ingestion",
    "CancelTransformInput": "transform",
    "UpdateUserInput": "user",
    "RevokeTokenInput": "token",
}
"""The kind of document that `id` of an input refers to."""

LEFT_OUT_OF = {"UsedInput": {"url", "sizeBytes", "mediaType", "stepKey"}}
"""Fields of an input that are not for what `id` names."""

JSONS: list[Any] = [
    {"$where": MARK, "a.b": {"$ne": None}, f"${MARK}": 1, f"{MARK}.$eq": [{"$gt": ""}], "": {"": []}},
    [{"$function": {"body": MARK}}],
    f"$ne{MARK}",
    10**30,
    1e-300,
    True,
]


def mutations() -> Iterator[tuple[str, GraphQLField]]:
    """Every mutation of the schema."""
    root: Any = TYPES["Mutation"]
    yield from root.fields.items()


def plausible(field: GraphQLField, world: World, *, known: bool = True) -> dict[str, Any]:
    """An input that could be taken, whose ids are those of things that exist, or of nothing."""
    return _input(TYPES[get_named_type(field.args["input"].type).name], world, known)


def hostile_inputs(field: GraphQLField, world: World) -> Iterator[dict[str, Any]]:
    """The input with one hostile value at a time, wherever a text, an id or JSON can stand."""
    usual = plausible(field, world)
    yield usual
    for path, type_ in _leaves(TYPES[get_named_type(field.args["input"].type).name]):
        values = JSONS if type_ == "JSON" else [f'{{"$ne": "{MARK}"}}', f"$where.{MARK}"]
        for value in values if type_ in ("JSON", "String", "ID") else ():
            yield _with(usual, path, value)


def _input(type_: GraphQLInputObjectType, world: World, known: bool) -> dict[str, Any]:
    # Fields that name a thing twice or expect a state that does not exist are left out, unless they are required.
    left_out = {"idempotencyKey", "expectedRevision", "csvw", "transformId", "version", "ownerId"}
    left_out |= {
        "workflowId",
        "dependsOn",
        "dryRun",
        "fromStepId",
        "removeOutputIds",
        "uploadId",
        "attempt",
        "authorizeUserNames",
        "authorizedUserNames",
        "ownerName",
        "revokeUserNames",
        "expectedLatestVersionId",
    }
    left_out |= LEFT_OUT_OF.get(type_.name, set())
    return {
        name: _value(type_.name, name, field.type, world, known)
        for name, field in type_.fields.items()
        if name not in left_out or is_required_input_field(field)
    }


def _value(input_name: str, name: str, type_: Any, world: World, known: bool) -> Any:
    named: Any = get_named_type(type_)
    if is_list_type(get_nullable_type(type_)):
        return [_value(input_name, name, get_nullable_type(type_).of_type, world, known)]
    if isinstance(named, GraphQLInputObjectType):
        return _input(named, world, known)
    if isinstance(named, GraphQLEnumType):
        return next(iter(named.values))
    match named.name:
        case "ID":
            kind = KIND_OF_INPUT[input_name] if name == "id" else KIND_OF_ID[name]
            return ids_of(world, kind)[0] if known else UNKNOWN[kind]
        case "String":
            return TEXTS.get(name, "https://new.example/files" if name == "monitorDirs" else f"a new {name}")
        case "Boolean":
            return True
        case "DateTime":
            return "2024-01-01T00:00:00Z"
        case "JSON":
            return {"a": 1}
        case "Int" | "BigInt" | "Float":
            return 1
    raise LookupError(f"Say what a plausible {named.name} is.")


def _leaves(type_: GraphQLInputObjectType) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, field in type_.fields.items():
        named: Any = get_named_type(field.type)
        if isinstance(named, GraphQLInputObjectType):
            yield from (((name, *path), leaf) for path, leaf in _leaves(named))
        else:
            yield (name,), named.name


def _with(given: Any, path: tuple[str, ...], value: Any) -> Any:
    """The input with another value at a path, in the first item of every list on the way."""
    if isinstance(given, list):
        return [_with(given[0], path, value)]
    if not path:
        return value
    return {**given, path[0]: _with(given.get(path[0]), path[1:], value)}
