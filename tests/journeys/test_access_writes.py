"""Access to writes: a refusal is returned as data, and nothing is written."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from graphql import GraphQLField, get_named_type, is_leaf_type

import documents
from documents.mongo.database import Database
from graph.core.fields import NODE_VIEWS
from resolvers.access.viewer import Role, Viewer
from tests.conftest import RoundTrips
from tests.journeys.access_commands import WRITES
from tests.journeys.access_inputs import KIND_OF_INPUT, mutations, plausible
from tests.journeys.access_queries import KINDS, TYPES, UNKNOWN, ids_of, selection
from tests.journeys.access_world import World, a_world
from tests.support.asking import answer
from tests.support.builders import everything_kept
from tests.support.patience import within

REFUSED = {"FORBIDDEN", "NOT_FOUND"}
OWNED = (
    documents.Token,
    documents.User,
    documents.DigitalTwin,
    documents.Execution,
    documents.Output,
    documents.Result,
    documents.Workflow,
    documents.Instance,
    documents.Ingestion,
)
"""Documents that a user may write if they own them."""
Call = tuple[str, GraphQLField, dict[str, Any]]
"""A mutation's name, the mutation, and its input."""
ERRORS = "userErrors { __typename code message path }"


@pytest.fixture
async def world(database: Database) -> World:
    world = a_world()
    await world.begin()
    return world


def inputs_without_rights(name: str, field: GraphQLField, world: World) -> list[dict[str, Any]]:
    """Inputs that a user could give, for things of others and for nothing, with and without an idempotency key."""
    given = [plausible(field, world), plausible(field, world, known=False)]
    input_type: Any = get_named_type(field.args["input"].type)
    kind = KIND_OF_INPUT.get(input_type.name)
    if kind:
        given += [{**given[0], "id": id} for id in ids_of(world, kind)]
    if name in ("createDigitalTwin", "createWorkflow"):
        given = [{**given[0], "ownerId": world.viewers["owner"].user_id}, {**given[0], "ownerId": UNKNOWN["user"]}]
    if name == "createInstance":
        given = [{**given[0], "ownerIds": [world.viewers["owner"].user_id]}, {**given[0], "ownerIds": []}]
    return [*given, {**given[0], "idempotencyKey": "a key"}] if "idempotencyKey" in input_type.fields else given


async def payload(name: str, field: GraphQLField, viewer: Viewer, given: dict[str, Any], selected: str = ERRORS) -> Any:
    """The payload of a mutation."""
    query = f"mutation ($input: {field.args['input'].type}) {{ {name}(input: $input) {{ {selected} }} }}"
    found = await answer(query, viewer, input=given)
    assert "errors" not in found, found["errors"]
    return found["data"][name]


def results_of(field: GraphQLField) -> str:
    """The payload's other fields, briefly."""
    fields = TYPES[get_named_type(field.type).name].fields.items()
    parts = [name if is_leaf_type(get_named_type(one.type)) else f"{name} {{ __typename }}" for name, one in fields]
    return " ".join(part for part in parts if not part.startswith("userErrors"))


@pytest.mark.parametrize("who", ["anonymous", "stranger"])
async def test_who_has_no_right_to_a_mutation_is_told_so_and_writes_nothing(world: World, who: str) -> None:
    viewer = world.viewers[who]
    before = await everything_kept()
    called = 0

    for name, field in mutations():
        for given in inputs_without_rights(name, field, world):
            own = given.get("id") and world.by_id.get(given["id"])
            if isinstance(own, OWNED) and world.owns(viewer, own):
                continue
            if name == "createUpload" and viewer.role is Role.USER:
                # Everybody who is known may announce bytes; what they may become is checked when they are registered.
                continue
            written = await payload(name, field, viewer, given, f"{results_of(field)} {ERRORS}")
            (error,) = written.pop("userErrors")
            called += 1
            assert error["code"] in REFUSED, (name, given, error)
            assert not any(written.values())

    assert called > 2 * len(list(mutations()))
    assert await everything_kept() == before


async def test_a_token_that_stands_for_nobody_makes_and_changes_nobodys_twins(world: World) -> None:
    before = await everything_kept()
    by_name = dict(mutations())

    for name in ("createDigitalTwin", "updateDigitalTwin"):
        for given in inputs_without_rights(name, by_name[name], world):
            (error,) = (await payload(name, by_name[name], Viewer(Role.WORKER), given))["userErrors"]
            assert error["code"] in REFUSED

    assert await everything_kept() == before


async def test_a_write_to_something_hidden_is_answered_like_one_to_nothing(world: World) -> None:
    for name, field in mutations():
        kind = KIND_OF_INPUT.get(get_named_type(field.args["input"].type).name, "")
        for viewer in world.viewers.values():
            if ids := [one.id for one in world.hidden(viewer) if one.kind == kind]:
                unknown = await payload(name, field, viewer, {**plausible(field, world), "id": UNKNOWN[kind]})
                for id in ids:
                    hidden = await payload(name, field, viewer, {**plausible(field, world), "id": id})
                    assert str(hidden).replace(id, UNKNOWN[kind]) == str(unknown)


@pytest.mark.timeout(within(600))
@pytest.mark.parametrize("who", ["owner", "worker"])
async def test_what_a_payload_leads_to_is_what_the_writer_may_see(
    world: World, round_trips: RoundTrips, who: str
) -> None:
    viewer = world.viewers[who]
    calls = [(name, field, given) for name, field in mutations() for given in writers_inputs(field, world, viewer)]

    shown = await payloads_each_alone(calls, viewer, world.begin, round_trips)
    hidden = {one.id for one in world.hidden(viewer)}
    answered = []
    for (name, field, given), found in zip(calls, shown, strict=True):
        # A refusal repeats the ids that were sent.
        told, sent = str(found), str(given)
        assert not [id for id in hidden if id in told and id not in sent]
        if not any(error["code"] == "FORBIDDEN" for error in found["userErrors"]):
            answered.append(((name, field, given), found))
    again, seeing_all = [call for call, _ in answered], Viewer(Role.ADMIN, viewer.user_id)
    begin = partial(world.begin_as_seen_by, viewer)
    everything = await payloads_each_alone(again, seeing_all, begin, round_trips)
    for (call, found), of_all in zip(answered, everything, strict=True):
        assert steady(found, world) == steady(of_all, world), call

    assert len({error["__typename"] for found in shown for error in found["userErrors"]}) > 1
    assert [found for found in shown if not found["userErrors"]]


async def payloads_each_alone(
    calls: list[Call], viewer: Viewer, begin: Callable[[], Awaitable[None]], round_trips: RoundTrips
) -> list[Any]:
    """The payload of each call, in a world that begins anew after each that wrote."""
    payloads = []
    await begin()
    for name, field, given in calls:
        with round_trips.counting() as seen:
            payloads.append(await payload(name, field, viewer, given, everything_below(field)))
        if any(command in WRITES for command, _ in seen):
            await begin()
    return payloads


def writers_inputs(field: GraphQLField, world: World, viewer: Viewer) -> list[dict[str, Any]]:
    """Inputs that may be granted, and the same for a revision that was never reached."""
    input_type: Any = get_named_type(field.args["input"].type)
    given = plausible(field, world)
    kind = KIND_OF_INPUT.get(input_type.name)
    every = [{**given, "id": id} for id in ids_of(world, kind)] if kind else [given]
    if "expectedRevision" in input_type.fields:
        every += [{**one, "expectedRevision": 77} for one in every]
    return every


def everything_below(field: GraphQLField) -> str:
    """All that can be selected of a payload, conflicts included."""
    parts = []
    for name, one in TYPES[get_named_type(field.type).name].fields.items():
        shown: Any = get_named_type(one.type)
        if is_leaf_type(shown):
            parts.append(name)
        elif name != "userErrors":
            parts.append(f"{name} {{ {selection(shown, 2 if shown.name in KINDS else 0)} }}")
    kind = KIND_OF_INPUT.get(get_named_type(field.args["input"].type).name)
    current = f"__typename id ... on {NODE_VIEWS[kind]} {{ {selection(TYPES[NODE_VIEWS[kind]], 2)} }}" if kind else "id"
    errors = f"__typename code message path ... on RevisionConflict {{ currentRevision current {{ {current} }} }}"
    return f"{' '.join(parts)} userErrors {{ {errors} }}"


def steady(shown: Any, world: World) -> str:
    """An answer without what differs between two calls: times, cursors and ids of what the call made."""
    text = re.sub(r"'url': '[^']+'", "a signed URL", str(shown))
    text = re.sub(r"'(\d{4}-\d\d-\d\dT[^']*Z)'", "a time", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "a minute", text)
    text = re.sub(r"'apiKey': '[^']+'", "a key", text)
    text = re.sub(r"'(cursor|startCursor|endCursor)': '[^']+'", "a cursor", text)
    return re.sub(r"[a-z]+_[0-9a-f]{24}", lambda id: id[0] if id[0] in world.by_id else "a new id", text)
