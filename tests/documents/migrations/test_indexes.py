"""A server needs the indexes that documents declare; `migrate` makes them, changes them, and drops old ones."""

import asyncio
import re
from typing import Any

import pytest
from beanie import init_beanie
from pymongo.errors import DuplicateKeyError

import documents
from documents.migrations import SchemaError, indexes, migrate, plan, record_newest_version, schema_problem
from documents.mongo.database import Database
from tests.documents.migrations.conftest import contents
from tests.support.patience import until_awaited

NAME = ("users", "displayName_1")


async def names(database: Database, collection: str) -> set[str]:
    return set(await database[collection].index_information())


async def replace(database: Database, keys: Any, **options: Any) -> None:
    """Have another index stand in the place of the unique one of users' names."""
    await database.users.drop_index("displayName_1")
    await database.users.create_index(keys, **options)


@pytest.fixture
async def migrated(old: Database) -> Database:
    await migrate(old)
    return old


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ([NAME], "The database lacks the index users.displayName_1: run `provenance-graph migrate`."),
        (
            [("jobs", "over"), NAME, ("steps", "leases")],
            "The database lacks the index users.displayName_1 and 2 more: run `provenance-graph migrate`.",
        ),
    ],
)
async def test_a_database_that_lacks_an_index_cannot_be_used_until_it_is_made(
    migrated: Database, change: list[tuple[str, str]], said: str
) -> None:
    before = await contents(migrated)
    for collection, name in change:
        await migrated[collection].drop_index(name)

    problem = await schema_problem(migrated)
    await migrate(migrated)

    assert problem == said
    assert await schema_problem(migrated) is None
    assert await contents(migrated) == before


async def test_an_index_that_is_still_being_built_is_lacking(migrated: Database) -> None:
    rows = ({"_id": f"user_{number}", "displayName": str(number)} for number in range(60_000))
    await migrated.users.insert_many(rows, ordered=False)

    # A build may end before a slow machine has looked.
    problem = await until_awaited(lambda: _problem_while_building(migrated))

    assert problem == "The database lacks the index users.displayName_1: run `provenance-graph migrate`."
    assert await schema_problem(migrated) is None


async def _problem_while_building(database: Database) -> str | None:
    """The problem of a database while it builds an index, None where the build was over too soon."""
    await database.users.drop_index("displayName_1")
    building = asyncio.create_task(database.users.create_index("displayName", unique=True))
    problem = None
    while problem is None and not building.done():
        problem = await schema_problem(database)
    await building
    return problem


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ("displayName", {}),
        ("displayName", {"unique": True, "sparse": True}),
        ("email", {"name": "displayName_1"}),
        ("displayName", {"unique": True, "name": "by_name"}),
    ],
)
async def test_an_index_with_other_keys_options_or_name_is_rebuilt(
    migrated: Database, keys: Any, options: dict[str, Any]
) -> None:
    before = await contents(migrated)
    await replace(migrated, keys, **options)

    problem = await schema_problem(migrated)
    planned = await plan(migrated)
    await migrate(migrated)

    assert problem is not None
    assert [str(index) for index in planned.indexes.changed] == ["users.displayName_1"]
    assert await contents(migrated) == before


@pytest.mark.parametrize("killed_at", ["guard_displayName_1", "drop", "displayName_1", "drop guard_displayName_1"])
async def test_a_rebuild_that_was_killed_is_finished_and_keeps_rows_apart_all_the_while(
    migrated: Database, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    before = await contents(migrated)
    await replace(migrated, "displayName", unique=True, sparse=True)
    await migrated.users.insert_one({"_id": "user_1", "displayName": "ada"})

    async def make(database: Database, index: indexes.DeclaredIndex) -> None:
        if index.name == killed_at:
            raise KeyboardInterrupt
        await database[index.collection].create_indexes([index.model])

    async def drop(database: Database, collection: str, name: str) -> None:
        if killed_at in ("drop", f"drop {name}"):
            raise KeyboardInterrupt
        await database[collection].drop_index(name)

    (index,) = [index for index in indexes.declared_indexes() if (index.collection, index.name) == NAME]
    with monkeypatch.context() as patch:
        patch.setattr(indexes, "make_index", make)
        patch.setattr(indexes, "drop_index", drop)
        with pytest.raises(KeyboardInterrupt):
            await indexes.rebuild_index(migrated, index, "displayName_1")
    with pytest.raises(DuplicateKeyError):
        await migrated.users.insert_one({"_id": "user_2", "displayName": "ada"})
    await migrate(migrated)
    with pytest.raises(DuplicateKeyError):
        await migrated.users.insert_one({"_id": "user_2", "displayName": "ada"})

    await migrated.users.delete_many({})
    assert await contents(migrated) == before


async def test_rows_that_stand_in_the_way_of_a_unique_index_are_named(old: Database) -> None:
    await record_newest_version(old)
    await old.users.insert_many({"_id": f"user_{number}", "displayName": "ada"} for number in range(2))

    with pytest.raises(SchemaError) as refused:
        await migrate(old)
    await old.users.delete_one({"_id": "user_1"})
    await migrate(old)

    assert str(refused.value) == (
        "The unique index users.displayName_1 cannot be made: several documents of users have the displayName 'ada'. "
        "Change or delete all but one of them, and run `provenance-graph migrate` again."
    )
    assert await schema_problem(old) is None


async def test_indexes_of_earlier_releases_are_dropped_and_those_of_operators_stay(
    migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "RETIRED", (("users", "once_1"), ("gone", "a_1")))
    await migrated.users.create_index("once")
    await migrated.users.create_index("by_hand")

    problem = await schema_problem(migrated)
    planned = await plan(migrated)
    await migrate(migrated)

    assert problem is None
    assert planned.has_work
    assert planned.indexes.retired == [("users", "once_1")]
    assert await names(migrated, "users") >= {"by_hand_1", "displayName_1"}
    assert "once_1" not in await names(migrated, "users")


async def test_the_indexes_are_those_that_earlier_releases_made_with_beanie(
    migrated: Database, database: Database
) -> None:
    before = await contents(migrated)

    await init_beanie(database=migrated, document_models=documents.ALL)

    assert await contents(migrated) == before


@pytest.mark.parametrize(("collection", "name"), indexes.RETIRED)
async def test_an_index_that_only_an_earlier_release_used_is_dropped(
    migrated: Database, collection: str, name: str
) -> None:
    before, declared = await contents(migrated), await names(migrated, collection)
    await migrated[collection].create_index([(path, 1) for path in re.findall("(.+?)_1(?:_|$)", name)])
    assert name in await names(migrated, collection)

    await migrate(migrated)

    assert await names(migrated, collection) == declared - {name}
    assert await contents(migrated) == before
