"""Arbitrary worlds and viewers: lists, counts and links show what the reference policy shows, and nothing more."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import documents
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.journeys.access_world import World, a_world
from tests.support import builders as new
from tests.support.asking import answer, ask, without_comparison

WALK = """{
  users(first: 100) { nodes { id digitalTwins(first: 100) { totalCount nodes { id } } } }
  digitalTwins(first: 100) { totalCount nodes { id
    executions(first: 100) { totalCount nodes { id digitalTwin { id } parent { id } reruns(first: 100) { nodes { id } }
      steps(first: 100) { totalCount nodes { id execution { id } dependsOn { id } dependents { id } reusedFrom { id }
        outputs(first: 100) { totalCount nodes { id step { id } } } } } } }
    results(first: 100) { nodes { id outputs(first: 100) { totalCount nodes { id } } } } } }
  executions(first: 100, orderBy: [{ field: TITLE }]) { totalCount edges { cursor node { id title } } }
}"""

a_twin = st.fixed_dictionaries(
    {
        "owner": st.integers(0, 2),
        "public": st.booleans(),
        # For each execution its steps, for each step its outputs: whether it is public, and who else may read it.
        "executions": st.lists(
            st.lists(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 2))), max_size=3), max_size=3), max_size=2
        ),
    }
)
some_twins = st.lists(a_twin, max_size=5)


def build(shape: list[dict[str, Any]], number: int, random: Any) -> World:
    """The world of that shape; steps and executions refer to any others, whoever owns them."""
    people = [new.a_user() for _ in range(3)]
    kept: list[Any] = [*people]
    for one in shape:
        twin = new.a_twin(people[one["owner"]], public=one["public"])
        kept.append(twin)
        for steps in one["executions"]:
            kept += _an_execution(twin, steps, people)
    for kind, fields in ((documents.Execution, ("parent_ref",)), (documents.Step, ("reused_from_ref", "depends_on"))):
        every = [node for node in kept if isinstance(node, kind)]
        for node in every:
            for field in fields:
                other = random.choice(every).id
                setattr(node, field, [other] if field == "depends_on" else other)
    viewers = [ANONYMOUS, Viewer(Role.WORKER), *(Viewer(Role.USER, user.id) for user in people)]
    return World(kept, {"one": viewers[number]})


def _an_execution(twin: documents.DigitalTwin, steps: list[Any], people: list[documents.User]) -> list[Any]:
    execution = new.an_execution(twin)
    made: list[Any] = [execution]
    outputs: list[documents.Output] = []
    for ordinal, rights in enumerate(steps):
        step = new.a_step(execution, ordinal=ordinal)
        outputs += [new.an_output(step, *(people[who] for who in named), public=public) for public, named in rights]
        made.append(step)
    return [*made, *outputs, new.a_result(execution, outputs)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=some_twins, number=st.integers(0, 4), random=st.randoms(use_true_random=False))
async def test_any_viewer_of_any_world_sees_it_as_if_the_rest_were_not_there(
    database: Database, shape: list[dict[str, Any]], number: int, random: Any
) -> None:
    world = build(shape, number, random)
    viewer = world.viewers["one"]
    by_id = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Output { step { id key execution { id } } } } }"
    await world.begin()

    walked, nodes = await answer(WALK, viewer), await answer(by_id, viewer, ids=world.ids()[:100])

    lists = walked["data"]["digitalTwins"]
    assert [one["id"] for one in lists["nodes"]] == [
        id for id in sorted(world.ids(documents.DigitalTwin)) if world.sees(viewer, world.by_id[id])
    ]
    await world.forget(viewer)
    with without_comparison():
        assert walked == await answer(WALK, Viewer(Role.ADMIN))
        assert nodes == await answer(by_id, Viewer(Role.ADMIN), ids=world.ids()[:100])


async def test_viewers_who_ask_at_the_same_moment_are_told_what_each_is_told_alone(database: Database) -> None:
    world = a_world()
    await world.begin()
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Output { fileName } ... on Step { key } } }"
    questions = [
        (viewer, [id]) for id in world.ids(documents.Output, documents.DigitalTwin) for viewer in world.viewers.values()
    ]

    with without_comparison():
        together = await asyncio.gather(*(ask(query, viewer, ids=ids) for viewer, ids in questions))

    for (viewer, ids), found in zip(questions, together, strict=True):
        expected = [id if world.sees(viewer, world.by_id[id]) else None for id in ids]
        assert [one and one["id"] for one in found["nodes"]] == expected
