"""Transferring a digital twin to another owner, as a client does."""

import asyncio
from typing import Any

import pytest

from documents.activities.activity import ActivityStatus
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.limits import MAX_TWIN_READERS
from resolvers.twins import twin_rights
from tests.resolvers.twins.test_share_twin import Project, as_user, told
from tests.support.asking import ADMIN, ask
from tests.support.builders import a_step, a_twin, a_user, an_execution, everything_kept, keep
from tests.support.runs import do

pytestmark = pytest.mark.usefixtures("database")

MINE = """query($ids: [ID!]!) { nodes(ids: $ids) { id }
  viewer { user { digitalTwins { nodes { id } } } sharedDigitalTwins { nodes { id } } } }"""


async def an_ended_project(**fields: Any) -> Project:
    """A project of which nothing runs."""
    project = Project(**fields)
    project.execution.status = project.step.status = ActivityStatus.SUCCEEDED
    return await project.begin()


async def transfer(project: Project, viewer: Viewer | None = None, /, **given: Any) -> Any:
    """Transfer the project's twin; returns the payload."""
    what = "digitalTwin { id revision owner { displayName } readers { displayName } }"
    return await do("transferDigitalTwin", what, viewer or as_user(project.owner), **{"id": project.twin.id, **given})


async def test_a_twin_goes_to_its_new_owner_with_all_that_follows_it_and_the_old_one_may_read_it() -> None:
    project = await an_ended_project()
    await project.share(authorizeUserNames=["ada", "bob"])

    found = await transfer(project, ownerName="ada")
    theirs = await ask(MINE, as_user(project.ada), ids=project.ids)
    owners = await ask(MINE, as_user(project.owner), ids=project.ids)

    # Whom a twin is shared with is shown to its owner alone.
    shown = {"id": project.twin.id, "revision": 3, "owner": {"displayName": "ada"}, "readers": []}
    assert found == {"digitalTwin": shown, "userErrors": []}
    twin = {"nodes": [{"id": project.twin.id}]}
    assert theirs["viewer"] == {"user": {"digitalTwins": twin}, "sharedDigitalTwins": {"nodes": []}}
    assert owners["viewer"]["sharedDigitalTwins"] == twin
    assert [node["id"] for node in theirs["nodes"]] == [node["id"] for node in owners["nodes"]] == project.ids
    rows = await everything_kept()
    for collection in ("executions", "steps", "results", "outputs"):
        (row,) = (row for row in rows[collection] if row["_id"] in project.ids)
        assert (row["ownerRef"], row["readerRefs"]) == (project.ada.id, [project.bob.id, project.owner.id])


async def test_the_new_owner_changes_it_and_the_old_one_does_no_longer() -> None:
    project = await an_ended_project()
    await transfer(project, ownerId=project.ada.id)
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("updateDigitalTwin", "digitalTwin { id }", {"id": project.twin.id, "status": "done"}),
        ("updateOutputAccess", "output { id }", {"id": project.output.id, "public": True}),
        ("updateResult", "result { id }", {"id": project.result.id, "title": "mine"}),
    ]
    before = await everything_kept()

    by_the_old = [await do(name, what, as_user(project.owner), **given) for name, what, given in changes]
    kept = await everything_kept()
    by_the_new = [await do(name, what, as_user(project.ada), **given) for name, what, given in changes]

    assert [one["userErrors"][0]["code"] for one in by_the_old] == ["FORBIDDEN"] * 3
    assert kept == before
    assert [one["userErrors"] for one in by_the_new] == [[]] * 3


async def test_the_old_owner_loses_sight_of_it_when_that_is_asked_for() -> None:
    project = await an_ended_project()

    found = await transfer(project, ADMIN, ownerId=project.ada.id, previousOwnerMayRead=False)

    assert found["digitalTwin"]["readers"] == []
    assert await project.seen_by(project.owner) == []
    assert await project.seen_by(project.ada) == project.ids


@pytest.mark.parametrize("status", ["PENDING", "READY", "RUNNING"])
async def test_nothing_is_handed_over_while_something_runs_for_it(status: str) -> None:
    project = await an_ended_project()
    await keep(running := an_execution(project.twin, status=status), a_step(running, status=status))
    before = await everything_kept()

    refused = await transfer(project, ownerName="ada")

    message = f"Execution {running.id} of the twin is {status}: wait until it ends, or cancel it."
    assert told(refused) == [("INVALID_STATE", message, ["input", "id"])]
    assert await everything_kept() == before


async def test_who_does_not_own_a_twin_does_not_hand_it_over() -> None:
    project = await an_ended_project()
    await project.share(authorizeUserNames=["bob"])
    before = await everything_kept()

    refused = [
        await transfer(project, viewer, ownerId=project.ada.id)
        for viewer in (as_user(project.ada), as_user(project.bob), Viewer(Role.WORKER, project.owner.id), ANONYMOUS)
    ]

    assert [(one["userErrors"][0]["code"], one["userErrors"][0]["path"]) for one in refused] == [
        ("NOT_FOUND", ["input", "id"]),
        ("FORBIDDEN", ["input", "id"]),
        ("FORBIDDEN", ["input"]),
        ("FORBIDDEN", ["input"]),
    ]
    assert await everything_kept() == before


async def test_a_new_owner_is_somebody_who_has_no_twin_of_this_name() -> None:
    project = await an_ended_project(name="river")
    await keep(a_twin(project.ada, name="river"))
    before = await everything_kept()
    taken = f"{project.ada.id} has a digital twin called river already: rename one of them first."

    refused = [
        await transfer(project, ownerId=project.ada.id),
        await transfer(project, ownerName="ada"),
        await transfer(project, ownerName="nobody"),
        await transfer(project, ownerId="user_unknown"),
        await transfer(project),
        await transfer(project, ownerId=project.ada.id, ownerName="ada"),
    ]

    assert [told(one) for one in refused] == [
        [("ALREADY_EXISTS", taken, ["input", "ownerId"])],
        [("ALREADY_EXISTS", taken, ["input", "ownerName"])],
        [("NOT_FOUND", "No User with displayName nobody.", ["input", "ownerName"])],
        [("NOT_FOUND", "No User with id user_unknown.", ["input", "ownerId"])],
        [("VALIDATION", "Give either ownerId or ownerName.", ["input", "ownerId"])],
        [("VALIDATION", "Give either ownerId or ownerName.", ["input", "ownerId"])],
    ]
    assert await everything_kept() == before


async def test_handing_a_twin_to_its_owner_changes_nothing() -> None:
    project = await an_ended_project()
    before = await everything_kept()

    found = await transfer(project, ownerName="owner", expectedRevision=1)

    assert found["digitalTwin"]["revision"] == 1
    assert await everything_kept() == before


async def test_a_twin_that_too_much_follows_stays_with_its_owner_and_so_does_all_that_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = await an_ended_project()
    before = await everything_kept()
    # One less than an execution, a result, a step and an output take when two people come or go.
    monkeypatch.setattr(twin_rights, "MAX_WORK", 21)

    refused = await transfer(project, ownerName="ada")

    rows = "Too many rows follow the digital twin to change them all at once. Name fewer people in one call."
    assert told(refused) == [("LIMIT_EXCEEDED", rows, ["input"])]
    assert await everything_kept() == before


async def test_the_old_owner_needs_a_place_among_the_readers() -> None:
    readers = [a_user() for _ in range(MAX_TWIN_READERS)]
    project = await an_ended_project(reader_refs=[one.id for one in readers])
    before = await everything_kept()

    refused = await transfer(project, ownerName="ada")
    kept = await everything_kept()
    instead = await transfer(project, ownerName="ada", previousOwnerMayRead=False)

    assert [one["code"] for one in refused["userErrors"]] == ["LIMIT_EXCEEDED"]
    assert kept == before
    assert instead["userErrors"] == []


async def test_what_is_added_while_a_twin_is_handed_over_belongs_to_who_owns_it_in_the_end() -> None:
    project = await an_ended_project()
    given = {"executionId": project.execution.id, "outputIds": []}

    payloads = await asyncio.gather(
        *(do("createResult", "result { id }", ADMIN, title=f"{number}", **given) for number in range(3)),
        transfer(project, ownerName="ada"),
    )

    assert [payload["userErrors"] for payload in payloads] == [[]] * 4
    assert {row["ownerRef"] for row in (await everything_kept())["results"]} == {project.ada.id}
