"""Sharing digital twins and outputs with people, as a client does."""

import asyncio
from typing import Any

import pytest

import documents
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.limits import MAX_TWIN_READERS
from resolvers.twins import twin_rights
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import a_result, a_step, a_twin, a_user, an_execution, an_output, everything_kept, keep
from tests.support.runs import do

pytestmark = pytest.mark.usefixtures("database")

NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
SHARED = "{ viewer { sharedDigitalTwins { nodes { id owner { displayName } } } } }"


class Project:
    """A private twin of an owner, with one of everything that follows it, and two other people."""

    def __init__(self, **fields: Any) -> None:
        self.owner, self.ada, self.bob = (a_user(display_name=name) for name in ("owner", "ada", "bob"))
        self.twin = a_twin(self.owner, **fields)
        self.execution = an_execution(self.twin)
        self.step = a_step(self.execution)
        self.output = an_output(self.step)
        self.result = a_result(self.execution, [self.output])
        self.chain = [self.twin, self.execution, self.step, self.result, self.output]
        self.ids = [one.id for one in self.chain]

    async def begin(self) -> "Project":
        """Keep it, beside another twin of the same owner that nobody else may read."""
        other = an_execution(twin := a_twin(self.owner))
        await keep(self.owner, self.ada, self.bob, twin, other, a_step(other), *self.chain)
        return self

    async def seen_by(self, user: documents.User) -> list[str]:
        """The ids of the project's documents that a user may read."""
        return [node["id"] for node in (await ask(NODES, as_user(user), ids=self.ids))["nodes"] if node]

    async def share(self, viewer: Viewer | None = None, /, **given: Any) -> Any:
        """Share the twin; returns the payload."""
        what = "digitalTwin { id revision readers { displayName } }"
        return await do("updateDigitalTwinAccess", what, viewer or as_user(self.owner), **{"id": self.twin.id, **given})


def as_user(user: documents.User) -> Viewer:
    return Viewer(Role.USER, user.id)


def told(payload: Any) -> list[tuple[str, str, list[str]]]:
    return [(one["code"], one["message"], one["path"]) for one in payload["userErrors"]]


async def test_a_shared_twin_is_read_with_all_that_follows_it_until_it_is_shared_no_longer() -> None:
    project = await Project().begin()

    shared = await project.share(authorizeUserNames=[" ada "], authorizeUserIds=[project.bob.id])
    seen = [await project.seen_by(one) for one in (project.ada, project.bob)]
    revoked = await project.share(revokeUserNames=["ada"])

    readers = [{"displayName": "bob"}, {"displayName": "ada"}]
    assert shared == {"digitalTwin": {"id": project.twin.id, "revision": 2, "readers": readers}, "userErrors": []}
    assert seen == [project.ids, project.ids]
    assert revoked["digitalTwin"] == {"id": project.twin.id, "revision": 3, "readers": readers[:1]}
    assert [await project.seen_by(one) for one in (project.ada, project.bob)] == [[], project.ids]


async def test_a_reader_finds_the_twin_and_its_files_and_changes_nothing(round_trips: RoundTrips) -> None:
    project = await Project().begin()
    await project.share(authorizeUserIds=[project.ada.id])
    reader, kept = as_user(project.ada), await everything_kept()

    with round_trips.counting() as seen:
        found = await ask(SHARED, reader)
    lists = await ask("{ executions { nodes { id } } outputs { totalCount nodes { id } } }", reader)

    assert found["viewer"]["sharedDigitalTwins"]["nodes"] == [
        {"id": project.twin.id, "owner": {"displayName": "owner"}}
    ]
    assert seen == [("find", "digitalTwins"), ("find", "users")]
    assert lists["executions"]["nodes"] == [{"id": project.execution.id}]
    assert lists["outputs"] == {"totalCount": 1, "nodes": [{"id": project.output.id}]}
    for payload in (
        await project.share(reader, authorizeUserIds=[project.bob.id]),
        await do("updateDigitalTwin", "digitalTwin { id }", reader, id=project.twin.id, name="mine"),
        await do("updateOutputAccess", "output { id }", reader, id=project.output.id, public=True),
        await do("cancelExecution", "execution { id }", reader, id=project.execution.id),
    ):
        assert [one["code"] for one in payload["userErrors"]] == ["FORBIDDEN"]
    assert await everything_kept() == kept


async def test_what_is_added_to_a_shared_twin_is_shared_too() -> None:
    project = await Project().begin()
    await project.share(authorizeUserIds=[project.ada.id])
    rows = documents.Step.get_pymongo_collection()
    await rows.update_one({"_id": project.step.id}, {"$set": {"status": "RUNNING", "attempt": 1}})
    added = {"executionId": project.execution.id, "title": "added", "outputIds": []}

    result = await do("createResult", "result { id }", as_user(project.owner), **added)
    file = {"stepId": project.step.id, "fileName": "a.csv", "bucket": "b", "key": "a.csv"}
    output = await do("registerOutput", "output { id }", ADMIN, **file)

    ids = [result["result"]["id"], output["output"]["id"]]
    assert (await ask(NODES, as_user(project.ada), ids=ids))["nodes"] == [{"id": id} for id in ids]


@pytest.mark.parametrize("names", ["authorizeUserNames", "revokeUserNames"])
async def test_unknown_people_are_refused_by_name(names: str) -> None:
    project = await Project().begin()
    before = await everything_kept()

    refused = await project.share(**{names: ["ada", "Ada", "nobody"]})
    unknown_id = await project.share(authorizeUserIds=["user_unknown"])

    assert told(refused) == [
        ("NOT_FOUND", "No User with displayName Ada.", ["input", names, "1"]),
        ("NOT_FOUND", "No User with displayName nobody.", ["input", names, "2"]),
    ]
    assert told(unknown_id) == [("NOT_FOUND", "No User with id user_unknown.", ["input", "authorizeUserIds", "0"])]
    assert await everything_kept() == before


async def test_who_may_not_change_a_twin_does_not_share_it() -> None:
    project = await Project().begin()
    await keep(public := a_twin(project.owner, public=True))
    before = await everything_kept()
    given = {"authorizeUserIds": [project.bob.id]}

    refused = [
        await project.share(as_user(project.ada), **given),
        await project.share(as_user(project.ada), id=public.id, **given),
        await project.share(WORKER, **given),
        await project.share(ANONYMOUS, **given),
    ]

    assert [(one["userErrors"][0]["code"], one["userErrors"][0]["path"]) for one in refused] == [
        ("NOT_FOUND", ["input", "id"]),
        ("FORBIDDEN", ["input", "id"]),
        ("NOT_FOUND", ["input", "id"]),
        ("FORBIDDEN", ["input"]),
    ]
    assert await everything_kept() == before


async def test_the_owner_is_no_reader_and_who_is_revoked_in_the_same_call_is_none() -> None:
    project = await Project().begin()
    before = await everything_kept()

    found = await project.share(
        authorizeUserIds=[project.owner.id, project.ada.id], revokeUserNames=["ada"], expectedRevision=1
    )

    assert found["digitalTwin"] == {"id": project.twin.id, "revision": 1, "readers": []}
    assert await everything_kept() == before


async def test_a_twin_that_has_moved_on_is_not_shared() -> None:
    project = await Project(revision=2).begin()
    before = await everything_kept()

    refused = await project.share(authorizeUserIds=[project.ada.id], expectedRevision=1)

    assert [one["code"] for one in refused["userErrors"]] == ["REVISION_CONFLICT"]
    assert await everything_kept() == before


async def test_a_twin_has_no_more_readers_than_it_may_and_no_more_rows_change_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = await Project().begin()
    many = [a_user() for _ in range(MAX_TWIN_READERS + 1)]
    await keep(*many)
    before = await everything_kept()

    too_many = await project.share(authorizeUserIds=[one.id for one in many])
    monkeypatch.setattr(twin_rights, "MAX_WORK", 21)
    too_much = await project.share(authorizeUserIds=[many[0].id, many[1].id])

    rows = "Too many rows follow the digital twin to change them all at once."
    people = f"{MAX_TWIN_READERS + 1} users are too many; a digital twin is shared with at most {MAX_TWIN_READERS}."
    assert told(too_many) == [("LIMIT_EXCEEDED", people, ["input"])]
    assert told(too_much) == [("LIMIT_EXCEEDED", f"{rows} Name fewer people in one call.", ["input"])]
    assert await everything_kept() == before
    assert (await project.share(authorizeUserIds=[many[0].id]))["userErrors"] == []


async def test_results_that_are_made_while_a_twin_is_shared_are_shared_as_it_is_in_the_end() -> None:
    project = await Project().begin()
    owner = as_user(project.owner)

    async def add(number: int) -> Any:
        given = {"executionId": project.execution.id, "title": f"result {number}", "outputIds": []}
        return await do("createResult", "result { id }", owner, **given)

    payloads = await asyncio.gather(
        add(1), project.share(authorizeUserNames=["ada"]), add(2), project.share(authorizeUserNames=["bob"]), add(3)
    )

    assert [payload["userErrors"] for payload in payloads] == [[]] * 5
    rows = (await everything_kept())["results"]
    assert len(rows) == 4
    assert [set(row["readerRefs"]) for row in rows] == [{project.ada.id, project.bob.id}] * 4


async def test_an_output_is_shared_by_name_and_found_by_who_may_read_it() -> None:
    project = await Project().begin()
    share = "output { accessControl { authorizedUsers { displayName } } }"
    owner = as_user(project.owner)

    shared = await do("updateOutputAccess", share, owner, id=project.output.id, authorizeUserNames=["ada", "bob"])
    found = await ask("{ viewer { sharedOutputs { totalCount nodes { id } } } }", as_user(project.ada))
    unknown = await do("updateOutputAccess", share, owner, id=project.output.id, revokeUserNames=["nobody"])
    await do("updateOutputAccess", share, owner, id=project.output.id, revokeUserNames=["ada"])

    names = [{"displayName": "ada"}, {"displayName": "bob"}]
    assert shared["output"]["accessControl"]["authorizedUsers"] == names
    assert found["viewer"]["sharedOutputs"] == {"totalCount": 1, "nodes": [{"id": project.output.id}]}
    assert told(unknown) == [("NOT_FOUND", "No User with displayName nobody.", ["input", "revokeUserNames", "0"])]
    assert [await project.seen_by(one) for one in (project.ada, project.bob)] == [[], [project.output.id]]


@pytest.mark.parametrize("viewer", [ANONYMOUS, ADMIN, WORKER])
async def test_nothing_is_shared_with_who_is_nobody(viewer: Viewer) -> None:
    await Project().begin()
    query = """{ viewer { sharedDigitalTwins { totalCount nodes { id } pageInfo { hasNextPage } }
      sharedOutputs { totalCount nodes { id } } } }"""

    found = (await ask(query, viewer))["viewer"]

    empty = {"totalCount": 0, "nodes": []}
    assert found["sharedDigitalTwins"] == {**empty, "pageInfo": {"hasNextPage": False}}
    assert found["sharedOutputs"] == empty
