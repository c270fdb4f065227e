"""Transforms, claimed and reported on by the same mechanism as steps."""

from typing import Any

import pytest

import documents
from documents.activity import ActivityStatus
from documents.resource import CodeRepo
from resolvers.sweeping import sweep
from tests.asking import ADMIN, ask
from tests.builders import everything_kept, keep
from tests.clock import Clock
from tests.runs import WORKER, a_dag, a_worker, append, claim, complete, do, extend, fail, refusals, state_of

pytestmark = pytest.mark.usefixtures("database")

OTHER = a_worker(2)


async def a_resource() -> str:
    """A resource of an organisation of its own."""
    organisation = documents.Organisation(url=documents.base.new_id("https://office"))
    resource = documents.Resource(organisation_ref=organisation.id, title="births", code_repo=CodeRepo())
    await keep(organisation, resource)
    return resource.id


async def request(resource: str) -> str:
    """The transform that waits."""
    payload = await do("requestTransform", "transform { id }", WORKER, resourceId=resource)
    id: str = payload["transform"]["id"]
    return id


async def test_the_oldest_of_both_kinds_is_claimed_unless_one_kind_is_asked_for() -> None:
    step = (await a_dag(a="")).steps["a"].id
    transform = await request(await a_resource())
    later_step = (await a_dag(a="")).steps["a"].id

    only = await claim(kinds=["TRANSFORM"])
    rest = [(await claim())["id"], (await claim(kinds=["STEP", "TRANSFORM"]))["id"]]

    assert (only["__typename"], only["id"]) == ("Transform", transform)
    assert rest == [step, later_step]
    assert await claim(kinds=[]) is None


async def test_a_transform_is_completed_with_its_details_and_its_log() -> None:
    transform = await request(await a_resource())
    await claim()
    await append(transform, "one", "two")

    payload = await complete(
        transform, validated=True, logs="https://logs.example/1", notebook="https://notebooks.example/1"
    )

    assert payload["activity"]["status"] == "SUCCEEDED"
    found = await ask(
        """query ($id: ID!) { transform(id: $id) { details { completed validated logs notebook }
          logs { nodes { sequence message } } } }""",
        id=transform,
    )
    assert found["transform"] == {
        "details": {
            "completed": True,
            "validated": True,
            "logs": "https://logs.example/1",
            "notebook": "https://notebooks.example/1",
        },
        "logs": {"nodes": [{"sequence": 1, "message": "one"}, {"sequence": 2, "message": "two"}]},
    }


async def test_details_that_are_no_urls_are_refused() -> None:
    transform = await request(await a_resource())
    await claim()
    kept = await everything_kept()

    payload = await complete(transform, logs="nowhere", notebook="javascript:alert(1)")

    assert refusals(payload) == [("VALIDATION", ["input", "logs"]), ("VALIDATION", ["input", "notebook"])]
    assert await everything_kept() == kept


async def test_a_resource_has_one_transform_that_runs_at_a_time() -> None:
    births, deaths = await a_resource(), await a_resource()
    running = await request(births)
    await claim()
    waiting, other = await request(births), await request(deaths)

    claimed = [await claim(), await claim()]
    await complete(running)
    at_last = await claim()

    assert [one and one["id"] for one in claimed] == [other, None]
    assert at_last["id"] == waiting


async def test_a_lapsed_transform_is_taken_over_while_another_waits(clock: Clock) -> None:
    births = await a_resource()
    lapsed = await request(births)
    await claim()
    await request(births)
    clock.forward(61)
    assert await sweep() == 0

    claimed = await claim(OTHER, "worker-2")

    assert (claimed["id"], claimed["attempt"]) == (lapsed, 2)
    assert state_of(await extend(lapsed)) == ("RUNNING", ["RUNNING"])


async def test_a_lapsed_transform_waits_again_when_no_other_does(clock: Clock) -> None:
    births = await a_resource()
    lapsed = await request(births)
    await claim()
    clock.forward(61)

    assert await sweep() == 1

    assert await request(births) == lapsed
    assert (await claim())["attempt"] == 2


@pytest.mark.parametrize("another_waits", [False, True])
async def test_a_retryable_failure_of_a_transform_is_tried_again(another_waits: bool) -> None:
    births = await a_resource()
    failing = await request(births)
    await claim()
    if another_waits:
        await request(births)
    first = await fail(failing, retryable=True)

    again = await fail(failing, retryable=True)
    claimed = await claim()

    assert first["userErrors"] == []
    assert again == first
    assert (claimed["id"], claimed["attempt"], claimed["error"]) == (failing, 2, None)


async def test_the_third_lapse_of_a_transform_fails_it_and_lets_the_next_one_run(clock: Clock) -> None:
    births = await a_resource()
    lapsing = await request(births)
    await claim()
    waiting = await request(births)
    for _ in range(2):
        clock.forward(61)
        assert (await claim())["id"] == lapsing
    clock.forward(61)

    assert (await claim())["id"] == waiting
    row: Any = await documents.Transform.get_pymongo_collection().find_one({"_id": lapsing})
    assert (row["status"], row["error"]["code"]) == (ActivityStatus.FAILED, "LEASE_LAPSED")


async def test_an_ingestion_completes_only_what_its_worker_holds(clock: Clock) -> None:
    transform = await request(await a_resource())
    given = {
        "organisationUrl": "https://office.example",
        "landingPage": "https://office.example/births",
        "codeRepo": {"url": "https://code.example/births"},
        "distributions": [],
        "transformId": transform,
    }
    resource = (await do("ingestTransform", "resource { id }", ADMIN, **given | {"transformId": None}))["resource"]
    transform = given["transformId"] = await request(resource["id"])
    await claim(kinds=["TRANSFORM"])
    while (await claim(kinds=["TRANSFORM"])) is not None:
        pass

    by_another = await do("ingestTransform", "transform { id }", OTHER, **given)
    clock.forward(61)
    too_late = await do("ingestTransform", "transform { id }", WORKER, **given)
    clock.forward(-61)
    in_time = await do("ingestTransform", "transform { id status }", WORKER, **given)

    assert state_of(by_another) == ("RUNNING", ["RUNNING"])
    assert state_of(too_late) == ("READY", ["RUNNING"])
    assert in_time["transform"] == {"id": transform, "status": "SUCCEEDED"}
    again = await complete(transform)
    assert again["activity"]["status"] == "SUCCEEDED"
