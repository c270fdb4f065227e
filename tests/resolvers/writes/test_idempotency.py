"""A repeat under an idempotency key after others have changed the same documents."""

import asyncio
from typing import Any

import pytest

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Role, Viewer
from resolvers.user_errors import InProgress
from resolvers.writes.idempotency import LEASE_TTL, KeyedCall, keyed_call, run_once_in_transaction
from resolvers.writes.stored_outcome import load_outcome
from resolvers.writes.transaction import Outcome
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ADMIN, answer, ask
from tests.support.builders import everything_kept, keep
from tests.support.clock import Clock
from tests.support.patience import within
from tests.support.runs import refusals

pytestmark = pytest.mark.usefixtures("database")

INSTANCE = """instance { id title jobs(first: 10) { totalCount nodes { id toolId } } }
  userErrors { __typename code message path }"""
CREATE = f"mutation ($input: CreateInstanceInput!) {{ payload: createInstance(input: $input) {{ apiKey {INSTANCE} }} }}"
UPDATE = f"mutation ($input: UpdateInstanceInput!) {{ payload: updateInstance(input: $input) {{ {INSTANCE} }} }}"
INGEST = """mutation ($input: IngestArchivesInput!) { payload: ingestArchives(input: $input) {
  ingestion { id instance { title } } userErrors { __typename code message path } } }"""
TWIN = """mutation ($input: UpdateDigitalTwinInput!) { payload: updateDigitalTwin(input: $input) {
  digitalTwin { id name revision } userErrors { __typename code message path } } }"""


async def sent(query: str, viewer: Viewer, **given: Any) -> Any:
    """The payload of a mutation."""
    return (await ask(query, viewer, input=given))["payload"]


async def test_a_former_owner_is_shown_neither_the_present_title_nor_the_private_jobs_of_an_instance() -> None:
    former, owner = new.a_user(), new.a_user()
    await keep(former, owner)
    viewer = Viewer(Role.USER, former.id)
    creating = {
        "url": "https://galaxy.example",
        "title": "old",
        "ownerIds": [former.id, owner.id],
        "idempotencyKey": "one",
    }
    id = (await sent(CREATE, viewer, **creating))["instance"]["id"]
    updating = {"id": id, "title": "older", "expectedRevision": 1, "idempotencyKey": "two"}
    ingesting = {"instanceId": id, "idempotencyKey": "three"}
    await sent(UPDATE, viewer, **updating)
    ingestion = (await sent(INGEST, viewer, **ingesting))["ingestion"]["id"]
    await sent(UPDATE, Viewer(Role.USER, owner.id), id=id, title="secret", ownerIds=[owner.id])
    await with_a_job(id, "secret_tool")
    before = await everything_kept()

    again = [
        await sent(CREATE, viewer, **creating),
        await sent(UPDATE, viewer, **updating),
        await sent(INGEST, viewer, **ingesting),
    ]

    assert "secret" not in str(again)
    assert [one.get("instance") or one.get("ingestion") for one in again] == [None] * 3
    assert [refusals(one) for one in again] == [[("NOT_FOUND", ["input", "idempotencyKey"])]] * 3
    assert [one["userErrors"][0]["message"] for one in again] == [
        f"No Instance with id {id}.",
        f"No Instance with id {id}.",
        f"No Ingestion with id {ingestion}.",
    ]
    assert again[0]["apiKey"] is None
    assert await everything_kept() == before
    still = (await sent(UPDATE, Viewer(Role.USER, owner.id), id=id, description="mine"))["instance"]
    assert (still["title"], still["jobs"]["totalCount"]) == ("secret", 1)


async def with_a_job(instance_id: str, tool: str) -> None:
    """Let the instance have run something."""
    instance = await documents.Instance.get(instance_id)
    assert instance
    archive, generation = new.an_archive(instance), new.a_generation(instance)
    await keep(archive, generation, new.a_job(generation, archive, tool_id=tool))
    active = {"$set": {"activeGenerationRef": generation.id}}
    await documents.Instance.get_pymongo_collection().update_one({"_id": instance_id}, active)


async def test_an_update_whose_answer_was_lost_is_answered_with_its_outcome_and_not_as_a_conflict() -> None:
    owner = new.a_user()
    twin = new.a_twin(owner)
    await keep(owner, twin)
    viewer = Viewer(Role.USER, owner.id)
    change = {"id": twin.id, "expectedRevision": 1, "name": "renamed"}

    first = await sent(TWIN, viewer, **change, idempotencyKey="once")
    again = await sent(TWIN, viewer, **change, idempotencyKey="once")
    without_a_key = await sent(TWIN, viewer, **change)

    assert again == first
    assert first["digitalTwin"] == {"id": twin.id, "name": "renamed", "revision": 2}
    assert refusals(without_a_key) == [("REVISION_CONFLICT", ["input", "expectedRevision"])]


async def test_an_update_that_is_repeated_shows_what_others_have_made_of_it_since() -> None:
    twin = new.a_twin(new.a_user())
    await keep(twin)
    change = {"id": twin.id, "expectedRevision": 1, "name": "renamed", "idempotencyKey": "once"}
    await sent(TWIN, ADMIN, **change)
    await sent(TWIN, ADMIN, id=twin.id, name="renamed again")

    again = await sent(TWIN, ADMIN, **change)

    assert again == {"digitalTwin": {"id": twin.id, "name": "renamed again", "revision": 3}, "userErrors": []}


async def test_an_outcome_is_kept_in_the_transaction_that_it_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    async def commit(session: Session) -> None:
        kept.append([row.outcome for row in await documents.IdempotencyKey.find({}).to_list()])
        await session.commit_transaction()

    monkeypatch.setattr("documents.mongo.transaction._commit", commit)
    user = new.a_user()
    await keep(user)

    creating = {"url": "https://galaxy.example", "title": "one", "ownerIds": [user.id], "idempotencyKey": "one"}
    created = await sent(CREATE, Viewer(Role.USER, user.id), **creating)

    assert created["userErrors"] == []
    assert kept[-1] == [None]
    assert [row.outcome for row in await documents.IdempotencyKey.find({}).to_list()] != [None]


async def test_a_refused_call_leaves_its_key_free() -> None:
    twin = new.a_twin(new.a_user())
    await keep(twin)
    change = {"id": twin.id, "expectedRevision": 2, "name": "renamed", "idempotencyKey": "once"}

    refused = await sent(TWIN, ADMIN, **change)
    await sent(TWIN, ADMIN, id=twin.id, status="ready")
    granted = await sent(TWIN, ADMIN, **change)

    assert refusals(refused) == [("REVISION_CONFLICT", ["input", "expectedRevision"])]
    assert granted["digitalTwin"]["revision"] == 3


@pytest.mark.parametrize("length", [0, 256])
async def test_a_key_has_1_to_255_characters(length: int) -> None:
    twin = new.a_twin(new.a_user())
    await keep(twin)
    before = await everything_kept()

    refused = await sent(TWIN, ADMIN, id=twin.id, name="renamed", idempotencyKey="k" * length)

    assert refusals(refused) == [("VALIDATION", ["input", "idempotencyKey"])]
    assert refused["userErrors"][0]["message"] == f"idempotencyKey must have 1 to 255 characters, not {length}."
    assert await everything_kept() == before
    for key in ("k", "k" * 255):
        assert (await sent(TWIN, ADMIN, id=twin.id, name=key[:9], idempotencyKey=key))["userErrors"] == []


async def test_the_same_key_serves_two_mutations() -> None:
    twin = new.a_twin(new.a_user())
    await keep(twin)
    query = """mutation ($id: ID!) {
      twin: updateDigitalTwin(input: {id: $id, name: "n", idempotencyKey: "k"}) { digitalTwin { name } }
      organisation: createOrganisation(input: {url: "https://o.example", idempotencyKey: "k"}) { organisation { url } }
    }"""

    found = await answer(query, ADMIN, id=twin.id)

    assert found["data"] == {
        "twin": {"digitalTwin": {"name": "n"}},
        "organisation": {"organisation": {"url": "https://o.example"}},
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Viewer(Role.ADMIN, token_id="token_1"), Viewer(Role.ADMIN, token_id="token_2")),
        (Viewer(Role.ADMIN), Viewer(Role.ADMIN, token_id="token_1")),
        (Viewer(Role.ADMIN, "user_1", "token_1"), Viewer(Role.ADMIN, "user_1", "token_2")),
        (Viewer(Role.ADMIN), Viewer(Role.ADMIN, "user_1")),
        (Viewer(Role.USER, "user_1"), Viewer(Role.ADMIN, "user_1")),
    ],
    ids=["two tokens", "without a token and with one", "two tokens of a user", "nobody and a user", "two roles"],
)
async def test_a_key_belongs_to_the_credentials_that_it_came_with(one: Viewer, other: Viewer) -> None:
    owner = new.a_user(id="user_1")
    twin = new.a_twin(owner)
    await keep(owner, twin)
    change = {"id": twin.id, "expectedRevision": 1, "name": "renamed", "idempotencyKey": "shared"}

    first = await sent(TWIN, one, **change)
    of_other = await sent(TWIN, other, **change)
    again = await sent(TWIN, one, **change)

    assert first["digitalTwin"]["revision"] == 2
    assert refusals(of_other) == [("REVISION_CONFLICT", ["input", "expectedRevision"])]
    assert again == first


def a_call() -> KeyedCall:
    """A call under a key; another one is the same again."""
    return keyed_call(ADMIN, "createOrganisation", {}, "once", load_outcome)


class Work:
    """Stores an organisation, but is held up until it may go on."""

    def __init__(self, url: str) -> None:
        self.begun, self.go_on, self._url = asyncio.Event(), asyncio.Event(), url

    async def __call__(self, session: Session) -> Outcome:
        self.begun.set()
        await self.go_on.wait()
        await documents.Organisation(url=self._url).insert(session=session)
        return {"url": self._url}


async def test_a_repeat_waits_for_the_call_that_is_at_work(
    round_trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.writes.idempotency.WAIT_TIMEOUT", within())
    work, never = Work("https://first.example"), Work("https://second.example")
    first = asyncio.create_task(run_once_in_transaction(a_call(), work))
    async with asyncio.timeout(within()):
        await work.begun.wait()
        with round_trips.counting() as seen:
            second = asyncio.create_task(run_once_in_transaction(a_call(), never))
            while seen.count(("find", "idempotency_keys")) < 2 and not never.begun.is_set():
                await asyncio.sleep(0.01)
    work.go_on.set()

    assert (await first, await second) == ({"url": "https://first.example"}, {"url": "https://first.example"})
    assert not never.begun.is_set()


async def test_a_call_that_was_silent_for_too_long_is_taken_over_and_writes_nothing(clock: Clock) -> None:
    late, quick = Work("https://late.example"), Work("https://quick.example")
    first = asyncio.create_task(run_once_in_transaction(a_call(), late))
    await asyncio.wait_for(late.begun.wait(), within())
    clock.forward(LEASE_TTL.total_seconds() + 1)
    quick.go_on.set()

    second = await run_once_in_transaction(a_call(), quick)
    late.go_on.set()
    with pytest.raises(InProgress):
        await first
    again = await run_once_in_transaction(a_call(), late)

    assert second == again == {"url": "https://quick.example"}
    assert [one.url for one in await documents.Organisation.find_all().to_list()] == ["https://quick.example"]


async def test_a_key_costs_two_writes_and_a_repeat_does_none_of_the_work(round_trips: RoundTrips) -> None:
    twin = new.a_twin(new.a_user())
    await keep(twin)

    async def round_trips_of(**given: Any) -> list[tuple[str, str]]:
        with round_trips.counting() as seen:
            await sent(TWIN, ADMIN, id=twin.id, **given)
        return [(command, collection) for command, collection in seen if command != "commitTransaction"]

    without = await round_trips_of(status="ready")
    first = await round_trips_of(status="stopped", idempotencyKey="once")
    again = await round_trips_of(status="stopped", idempotencyKey="once")

    keys = "idempotency_keys"
    assert first == [("insert", keys), *without, ("update", keys)]
    assert again == [("insert", keys), ("find", keys), ("find", "digitalTwins")]
