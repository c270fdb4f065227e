"""Transforms, claimed and reported on by the same mechanism as steps."""

from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.catalogue.resource import CodeRepo, MonitorDir
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.sweeps.sweep_loop import sweep
from tests.support.asking import ADMIN, ask
from tests.support.builders import everything_kept, keep
from tests.support.clock import Clock
from tests.support.runs import WORKER, a_dag, a_worker, append, claim, complete, do, extend, fail, refusals, state_of

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


async def test_an_expired_transform_is_taken_over_while_another_waits(clock: Clock) -> None:
    births = await a_resource()
    expired = await request(births)
    await claim()
    await request(births)
    clock.forward(61)
    assert await sweep() == 0

    claimed = await claim(OTHER, "worker-2")

    assert (claimed["id"], claimed["attempt"]) == (expired, 2)
    assert state_of(await extend(expired)) == ("RUNNING", ["RUNNING"])


async def test_an_expired_transform_waits_again_when_no_other_does(clock: Clock) -> None:
    births = await a_resource()
    expired = await request(births)
    await claim()
    clock.forward(61)

    assert await sweep() == 1

    assert await request(births) == expired
    assert (await claim())["attempt"] == 2


@pytest.mark.parametrize("another_waits", [False, True])
async def test_a_retryable_failure_of_a_transform_is_tried_again(another_waits: bool, clock: Clock) -> None:
    births = await a_resource()
    failing = await request(births)
    await claim()
    if another_waits:
        await request(births)
    first = await fail(failing, retryable=True)

    again = await fail(failing, retryable=True)
    await sweep()
    too_early = await claim()
    clock.forward(11)
    claimed = await claim()

    assert first["userErrors"] == []
    assert too_early is None
    assert again == first
    assert (claimed["id"], claimed["attempt"], claimed["error"]) == (failing, 2, None)


async def test_the_third_expiry_of_a_transform_fails_it_and_lets_the_next_one_run(clock: Clock) -> None:
    births = await a_resource()
    lapsing = await request(births)
    await claim()
    waiting = await request(births)
    for _ in range(2):
        clock.forward(121)
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


@pytest.mark.parametrize("viewer", [WORKER, ADMIN])
async def test_an_ingestion_of_an_old_attempt_completes_and_publishes_nothing(clock: Clock, viewer: Viewer) -> None:
    given: dict[str, Any] = {
        "organisationUrl": "https://office.example",
        "landingPage": "https://office.example/births",
        "codeRepo": {"url": "https://code.example/births"},
        "distributions": [{"dataset": "births", "csvw": {"url": "births.csv", "tableSchema": {"columns": []}}}],
    }
    made = await do("ingestTransform", "resource { id }", ADMIN, **given | {"distributions": []})
    transform = await request(made["resource"]["id"])
    await claim(viewer, kinds=["TRANSFORM"])
    clock.forward(61)
    await claim(viewer, kinds=["TRANSFORM"])
    kept = await everything_kept()

    old = await do("ingestTransform", "transform { id }", viewer, **given, transformId=transform, attempt=1)
    of_any = await do("ingestTransform", "transform { id }", viewer, **given, transformId=transform)
    of_none = await do("ingestTransform", "transform { id }", viewer, **given, attempt=1)
    assert await everything_kept() == kept
    present = await do("ingestTransform", "transform { status }", viewer, **given, transformId=transform, attempt=2)

    assert state_of(old) == ("RUNNING", ["RUNNING"])
    assert refusals(of_any) == refusals(of_none) == [("VALIDATION", ["input", "attempt"])]
    assert present["transform"] == {"status": "SUCCEEDED"}


async def cancel(id: str, viewer: Viewer = WORKER, **given: Any) -> Any:
    return await do("cancelTransform", "transform { id status endedAt error { code message } }", viewer, id=id, **given)


async def test_a_transform_that_waits_is_cancelled_and_not_claimed_and_another_can_be_requested() -> None:
    resource = await a_resource()
    transform = await request(resource)

    cancelled = (await cancel(transform, reason="The page moved."))["transform"]

    assert cancelled.pop("endedAt") is not None
    error = {"code": "CANCELLED", "message": "The page moved."}
    assert cancelled == {"id": transform, "status": "CANCELLED", "error": error}
    assert await claim() is None
    again = await request(resource)
    assert (again != transform, (await claim())["id"]) == (True, again)


async def test_a_transform_that_runs_is_cancelled_and_its_worker_is_told() -> None:
    transform = await request(await a_resource())
    await claim()

    cancelled = await cancel(transform, ADMIN)
    kept = await everything_kept()

    assert cancelled["transform"]["error"]["message"] == "The transform was cancelled."
    for report in (await extend(transform), await complete(transform), await append(transform, "late")):
        assert state_of(report) == ("CANCELLED", ["RUNNING"])
    assert await everything_kept() == kept


async def test_what_has_ended_is_not_cancelled_and_not_by_just_anybody() -> None:
    transform = await request(await a_resource())
    waiting = await everything_kept()
    for viewer in (ANONYMOUS, Viewer(Role.USER, "user_1")):
        assert refusals(await cancel(transform, viewer)) == [("FORBIDDEN", ["input"])]
    assert refusals(await cancel("transform_unknown")) == [("NOT_FOUND", ["input", "id"])]
    assert await everything_kept() == waiting
    await claim()
    await complete(transform)
    ended = await everything_kept()

    again = await cancel(transform)

    assert state_of(again) == ("SUCCEEDED", ["PENDING", "READY", "RUNNING"])
    assert await everything_kept() == ended


async def test_files_that_a_cancelled_transform_waited_for_are_taken_by_the_next_one() -> None:
    resource = await a_resource()
    directory = MonitorDir(url="https://files.example/", watched_since=documents.base.now().replace(year=2020))
    watching = {"$set": {"code_repo.monitor_dirs": [directory.model_dump(by_alias=True)]}}
    await documents.Resource.get_pymongo_collection().update_one({"_id": resource}, watching)
    file = {"url": "https://files.example/a.csv", "generation": "1", "updatedAt": "2024-01-01T00:00:00Z"}
    (due,) = (await do("reportFiles", "due { id }", WORKER, files=[file]))["due"]

    await cancel(due["id"])

    assert await pending(resource) == 1
    await request(resource)
    await claim()
    assert await pending(resource) == 0


async def pending(resource: str) -> int:
    """The number of pending files in the directory that a resource watches."""
    query = "query($id: ID!) { resource(id: $id) { codeRepo { monitorDirs { pendingFiles } } } }"
    (directory,) = (await ask(query, id=resource))["resource"]["codeRepo"]["monitorDirs"]
    count: int = directory["pendingFiles"]
    return count
