"""Fields that only some viewers of an object see, and links to hidden objects."""

from typing import Any

import orjson
import pytest

import documents
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.journeys.access_queries import TYPES, selection
from tests.journeys.access_world import ADMIN, World, a_world
from tests.support import builders as new
from tests.support.asking import answer, ask

OUTPUT = "query ($id: ID!) { node(id: $id) { id ... on Output { fileName %s } } }"


@pytest.fixture
async def world(database: Database) -> World:
    world = a_world()
    await world.begin()
    return world


async def test_an_address_is_for_its_user_and_for_administrators(world: World) -> None:
    for who in ["anonymous", "stranger", "owner", "authorised", "worker", "admin"]:
        viewer = world.viewers[who]
        users = [one for one in world.kept if isinstance(one, documents.User)]

        shown = await ask("{ users { nodes { id email } } viewer { user { email } } }", viewer)

        expected = {user.id: user.email if viewer == ADMIN or viewer.user_id == user.id else None for user in users}
        assert {one["id"]: one["email"] for one in shown["users"]["nodes"]} == expected
        own = viewer.user_id and {"email": expected[viewer.user_id]}
        assert shown["viewer"]["user"] == (own or None)


async def test_the_list_of_authorised_users_is_for_those_who_may_change_it(world: World) -> None:
    for who in ["anonymous", "stranger", "owner", "authorised", "worker", "admin"]:
        viewer = world.viewers[who]
        outputs = [one for one in world.kept if isinstance(one, documents.Output)]
        query = (
            "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Output { accessControl { authorizedUsers { id } } } } }"
        )

        shown = (await ask(query, viewer, ids=[one.id for one in outputs]))["nodes"]

        for output, found in zip(outputs, shown, strict=True):
            if not world.sees(viewer, output):
                assert found is None
                continue
            may_change = viewer == ADMIN or world.owns(viewer, output)
            listed = [{"id": id} for id in output.access_control.authorized_users] if may_change else []
            assert found["accessControl"] == {"authorizedUsers": listed}


async def test_the_readers_of_a_twin_are_for_those_who_may_change_it(world: World) -> None:
    for who in ["anonymous", "stranger", "owner", "authorised", "worker", "admin"]:
        viewer = world.viewers[who]

        shown = (await ask("{ digitalTwins { nodes { id readers { id } } } }", viewer))["digitalTwins"]["nodes"]

        for found in shown:
            twin = world.by_id[found["id"]]
            may_change = viewer == ADMIN or world.owns(viewer, twin)
            assert found["readers"] == ([{"id": id} for id in twin.reader_refs] if may_change else [])
        assert any(one["readers"] for one in shown) == (who in ("stranger", "admin"))


async def test_viewers_find_what_is_shared_with_them(world: World) -> None:
    query = """{ viewer { sharedDigitalTwins(first: 99) { totalCount nodes { id } }
      sharedOutputs(first: 99) { nodes { id } } } }"""
    for who in ["anonymous", "stranger", "owner", "authorised", "worker", "admin"]:
        viewer = world.viewers[who]
        twins = [one for one in world.kept if isinstance(one, documents.DigitalTwin)]
        outputs = [one for one in world.kept if isinstance(one, documents.Output)]

        shown = (await ask(query, viewer))["viewer"]

        shared = [{"id": one.id} for one in twins if viewer.user_id in one.reader_refs]
        named = [{"id": one.id} for one in outputs if viewer.user_id in one.access_control.authorized_users]
        assert shown["sharedDigitalTwins"] == {"totalCount": len(shared), "nodes": shared}
        assert shown["sharedOutputs"]["nodes"] == named
        assert bool(shared) == bool(named) == (who == "authorised")


async def test_logs_and_notebook_in_a_bucket_are_for_those_who_work_with_buckets(world: World) -> None:
    for who in ["anonymous", "stranger", "owner", "worker", "admin"]:
        viewer = world.viewers[who]

        shown = await ask("{ transforms { nodes { details { logs notebook } } } }", viewer)

        bucket = "gs://a-bucket/logs" if viewer.role in (Role.WORKER, Role.ADMIN) else None
        details = {"logs": bucket, "notebook": "https://office.example/notebook"}
        assert shown["transforms"]["nodes"] == [{"details": details}]


async def test_no_field_tells_how_a_user_signs_in(world: World) -> None:
    subject = "subject-that-nobody-else-knows"
    user = new.a_user(display_name="newcomer", email="newcomer@people.example", oidc_subject=subject)
    await new.keep(user)

    everything = await answer(
        f'{{ node(id: "{user.id}") {{ ... on User {{ {selection(TYPES["User"], 2)} }} }} }}', ADMIN
    )

    assert everything["data"]["node"]["id"] == user.id
    assert subject not in str(everything)
    assert not [name for name in TYPES["User"].fields if "subject" in name.lower()]
    assert not [name for name in TYPES["UserWhere"].fields if name in ("email", "oidcSubject")]


async def test_lines_of_a_hidden_step_are_not_reached_by_anybody_else(world: World) -> None:
    step = next(one for one in world.hidden(ANONYMOUS) if isinstance(one, documents.Step))
    query = "query ($id: ID!) { node(id: $id) { ... on Step { logs(first: 1000) { nodes { message } } } } }"

    shown = {name: (await ask(query, viewer, id=step.id))["node"] for name, viewer in world.viewers.items()}

    lines = {"logs": {"nodes": [{"message": "line 1"}, {"message": "line 2"}]}}
    seeing = {"owner", "worker_of_the_owner", "admin"}
    assert shown == {name: lines if name in seeing else None for name in world.viewers}


def an_output_of_something_hidden(world: World, viewer: Viewer) -> Any:
    """An output that the viewer may read although its step is hidden from them."""
    hidden = {one.id for one in world.hidden(viewer)}
    return next(
        one
        for one in world.kept
        if isinstance(one, documents.Output) and world.sees(viewer, one) and one.step_ref in hidden
    )


async def test_what_stands_beside_a_hidden_step_is_answered_all_the_same(world: World) -> None:
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Result { id outputs(first: 100) { nodes { id
      step { id execution { title digitalTwin { name owner { digitalTwins { totalCount } } } } } } } } } }"""
    results = [one for one in world.kept if isinstance(one, documents.Result)]
    hidden_steps = 0
    for who in ["anonymous", "stranger", "owner", "authorised", "worker"]:
        viewer = world.viewers[who]

        shown = await ask(query, viewer, ids=[one.id for one in results])

        for result, found in zip(results, shown["nodes"], strict=True):
            assert (found is not None) == world.sees(viewer, result)
            for output in found["outputs"]["nodes"] if found else ():
                step = world.by_id[world.by_id[output["id"]].step_ref]
                assert (output["step"] and output["step"]["id"]) == (step.id if world.sees(viewer, step) else None)
                hidden_steps += output["step"] is None
    assert hidden_steps


@pytest.mark.parametrize("who", ["anonymous", "stranger", "authorised"])
@pytest.mark.parametrize("below", ["step { id }", "step { key execution { digitalTwin { owner { id } } } }"])
async def test_the_hidden_step_of_a_visible_output_is_a_step_that_never_was(world: World, who: str, below: str) -> None:
    viewer = world.viewers[who]
    output = an_output_of_something_hidden(world, viewer)
    step = world.by_id[output.step_ref]

    without = await ask(OUTPUT % "", viewer, id=output.id)
    hidden = await answer(OUTPUT % below, viewer, id=output.id)
    await documents.Step.get_pymongo_collection().delete_one({"_id": step.id})
    never_was = await answer(OUTPUT % below, viewer, id=output.id)

    assert without["node"] == {"id": output.id, "fileName": output.file_name}
    assert hidden == {"data": {"node": without["node"] | {"step": None}}}
    assert orjson.dumps(hidden) == orjson.dumps(never_was)
    tells = (step.id, step.execution_ref, world.by_id[step.execution_ref].digital_twin_ref, step.owner_ref)
    assert not [id for id in tells if id in str(hidden)]
