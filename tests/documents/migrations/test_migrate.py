"""Steps run in order and once, whatever becomes of whoever runs them."""

import asyncio
from typing import Any

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import LockLost, SchemaError, Step, Work, migrate, plan, schema_problem
from documents.migrations import step as steps_module
from documents.migrations.indexes import declared_indexes
from documents.migrations.schema_version import COLLECTION
from documents.mongo.database import Database
from tests.conftest import RoundTrips
from tests.documents.migrations.conftest import contents
from tests.documents.migrations.invented import STEPS, USERS, expected, fill
from tests.documents.migrations.killing import killed_after

WRITES = {"insert", "update", "delete", "findAndModify", "createIndexes", "dropIndexes"}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "BATCH_SIZE", 10)


async def users(database: Database) -> list[dict[str, Any]]:
    return await database.users.find(sort=[("_id", 1)]).to_list()


async def test_an_empty_database_is_made_at_the_newest_version_at_once(old: Database) -> None:
    said: list[str] = []

    version = await migrate(old, lambda does, done, total: said.append(does), STEPS)

    assert version == 3
    assert await old[COLLECTION].find().to_list() == [{"_id": "schema", "version": 3}]
    assert set(said) == {"Make the indexes that documents declare."}
    assert {(index.collection, index.name) for index in declared_indexes()} == {
        (name, index["name"])
        for name, (_, indexes) in (await contents(old)).items()
        for index in indexes
        if index["name"] != "_id_"
    }
    assert await schema_problem(old, STEPS) is None


async def test_rows_without_a_schema_version_are_of_version_1_and_go_through_all_steps(old: Database) -> None:
    await fill(old)
    said: list[tuple[str, int, int]] = []

    before = await schema_problem(old, STEPS)
    await migrate(old, lambda *told: said.append(told), STEPS)

    assert before == "The database is at schema version 1, this server needs 3: run `provenance-graph migrate`."
    assert await users(old) == expected()
    assert await old[COLLECTION].find().to_list() == [{"_id": "schema", "version": 3}]
    assert [told for told in said if told[0] == "Name each user."] == [
        ("Name each user.", done, USERS) for done in (0, 10, 20, 25, 25)
    ]
    assert await schema_problem(old, STEPS) is None


async def test_only_the_steps_above_a_database_are_run(old: Database) -> None:
    await fill(old)
    await migrate(old, steps=STEPS[:1])
    await old.users.update_many({}, {"$set": {"named": "by hand"}})

    await migrate(old, steps=STEPS)

    assert await users(old) == [user | {"named": "by hand"} for user in expected()]


async def test_a_second_run_writes_nothing(old: Database, round_trips: RoundTrips) -> None:
    await fill(old)
    await migrate(old, steps=STEPS)
    before = await contents(old)

    with round_trips.counting() as seen:
        await migrate(old, steps=STEPS)

    assert [command for command, _ in seen if command in WRITES] == []
    assert await contents(old) == before


async def test_a_plan_tells_what_would_be_done_and_changes_nothing(old: Database, round_trips: RoundTrips) -> None:
    await fill(old)
    await old.users.update_one({"_id": "user_007"}, {"$set": {"named": "7"}})
    before = await contents(old)

    with round_trips.counting() as seen:
        found = await plan(old, STEPS)

    assert (found.version, found.newest) == (1, 3)
    assert [(step.version, rows) for step, rows in found.steps] == [(2, 24), (3, 25)]
    assert sorted(map(str, found.indexes.missing)) == sorted(map(str, declared_indexes()))
    assert found.indexes.missing[0].unique
    assert [command for command, _ in seen if command in WRITES] == []
    assert await contents(old) == before


async def test_a_database_of_a_newer_release_is_left_alone(old: Database) -> None:
    await fill(old)
    await migrate(old, steps=STEPS)
    before = await contents(old)

    with pytest.raises(SchemaError) as refused:
        await migrate(old, steps=STEPS[:1])

    assert str(refused.value) == (
        "The database is at schema version 3, which a newer release made; this release knows 2. "
        "Use that release, or restore the backup that was made before it."
    )
    assert await schema_problem(old, STEPS[:1]) == str(refused.value)
    assert await contents(old) == before


@pytest.mark.parametrize("said", [{}, {"version": "two"}, {"version": None}])
async def test_a_database_that_says_no_version_is_left_alone(old: Database, said: dict[str, Any]) -> None:
    await fill(old)
    await old.schema_version.insert_one({"_id": "schema", **said})
    before = await contents(old)

    with pytest.raises(SchemaError, match=r"'schema' of schema_version holds no schema version: (None|'two')"):
        await migrate(old, steps=STEPS)

    assert await contents(old) == before


async def test_of_two_that_migrate_at_once_one_waits_for_the_other(
    old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("documents.migrations.schema_version.RETRY_INTERVAL", 0.05)
    await fill(old)

    said: list[str] = []

    await asyncio.gather(*(migrate(old, lambda does, done, total: said.append(does), STEPS) for _ in range(3)))

    assert said.count("Wait for another process that migrates the database.") == 2
    assert said.count("Name each user.") == 5
    assert await users(old) == expected()
    assert await old[COLLECTION].find().to_list() == [{"_id": "schema", "version": 3}]


async def test_the_lock_of_a_process_that_was_killed_is_waited_for_until_it_expires(
    old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("documents.migrations.schema_version.RETRY_INTERVAL", 0.05)
    await fill(old)
    expiry = [{"$set": {"lock": {"holder": "killed", "expires_at": {"$add": ["$$NOW", 3_600_000]}}}}]
    await old[COLLECTION].update_one({"_id": "schema"}, [{"$set": {"version": 1}}, *expiry], upsert=True)
    waits = asyncio.Event()

    migrating = asyncio.create_task(migrate(old, lambda *_: waits.set(), STEPS))
    await waits.wait()
    held, meanwhile = await users(old), await schema_problem(old, STEPS)
    await old[COLLECTION].update_one({}, [{"$set": {"lock.expires_at": {"$add": ["$$NOW", 100]}}}])

    assert await migrating == 3
    assert (held[0].get("named"), meanwhile) == (
        None,
        "The database is being migrated to schema version 3. The server starts serving when that is done.",
    )
    assert await users(old) == expected()


async def test_whoever_loses_the_lock_writes_nothing_more(old: Database) -> None:
    async def none(database: Database) -> int:
        return 0

    async def run(work: Work) -> None:
        # As after an hour in which this process was stopped.
        await work.database[COLLECTION].update_one({}, {"$set": {"lock.holder": "another"}})
        await work.update("users", {"late": None}, {"$set": {"late": True}})

    await fill(old)
    before = await users(old)

    with pytest.raises(LockLost):
        await migrate(old, steps=[Step(2, "Write late.", none, run)])

    assert await users(old) == before
    (state,) = await old[COLLECTION].find().to_list()
    assert (state["version"], state["lock"]["holder"]) == (1, "another")


async def test_a_lost_lock_ends_what_does_not_look_at_it(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(database: Database) -> int:
        return 0

    async def run(work: Work) -> None:
        await work.database[COLLECTION].update_one({}, {"$set": {"lock.holder": "another"}})
        await asyncio.sleep(60)

    monkeypatch.setattr("documents.migrations.schema_version.RENEW_INTERVAL", 0.05)
    await fill(old)

    with pytest.raises(LockLost):
        await migrate(old, steps=[Step(2, "Wait for long.", none, run)])


@pytest.mark.parametrize("batches", [1, 3, 4, 6])
async def test_a_step_that_was_killed_goes_on_after_its_last_batch(
    old: Database, mongod: EmbeddedMongo, batches: int
) -> None:
    await fill(old)
    async with killed_after(batches, mongod, old):
        meanwhile = await schema_problem(old, STEPS)
    killed = await users(old)

    await migrate(old, steps=STEPS)

    assert (
        meanwhile == "The database is being migrated to schema version 3. The server starts serving when that is done."
    )
    assert killed != expected() or batches == 6
    assert await users(old) == expected()
    assert await old[COLLECTION].find().to_list() == [{"_id": "schema", "version": 3}]
