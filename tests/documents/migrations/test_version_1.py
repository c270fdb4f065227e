"""Rows that the release of version 1 stored are migrated to this release, and its server reads and writes them.

`version_1/` holds rows and names of indexes as that release made them: its sample data, cut short, and steps that fail,
run and wait. Nobody changes them any more.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bson.json_util import CANONICAL_JSON_OPTIONS, loads
from pymongo import MongoClient

from documents.base import now
from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import STEPS, migrate, plan
from documents.migrations.indexes import RETIRED, declared_indexes
from documents.mongo.database import Client, Database
from tests.documents.migrations.conftest import contents
from tests.documents.migrations.killing import killed_after
from tests.support.running import COMMAND, Running, command, environment, on_database, running

MADE = Path(__file__).parent / "version_1"
ACTIVITIES = ("ingestions", "steps", "transforms")
FILLED: dict[str, Any] = {
    "availableAt": None,
    "left_by": [],
    "earlier_workers": [],
    "claimed_again": False,
    "log_late": 0,
}

Rows = dict[str, list[dict[str, Any]]]


def version_1() -> Rows:
    """The rows of each collection."""
    rows: Rows = {}
    for line in (MADE / "rows.jsonl").read_text().splitlines():
        made = loads(line, json_options=CANONICAL_JSON_OPTIONS.with_options(tz_aware=False))
        rows.setdefault(made["collection"], []).append(made["row"])
    for key in rows["idempotency_keys"]:
        # Else MongoDB itself would remove them, which it does after a week.
        key["created_at"] = now().replace(tzinfo=None)
    return rows


def version_2(rows: Rows) -> Rows:
    """The rows as they are after step 2."""
    filled = {
        collection: [row | FILLED for row in some] if collection in ACTIVITIES else some
        for collection, some in rows.items()
    }
    # The one that a worker claimed, failed at and claimed again.
    (again,) = [row for row in filled["steps"] if row["attempt"] == 2]
    again["claimed_again"] = True
    return filled


def migrated(rows: Rows) -> Rows:
    """The rows as they are after all steps: of the later ones only the last finds something to change."""
    datasets, versions = ({row["_id"]: row for row in rows[name]} for name in ("datasets", "dataset_versions"))
    named = [
        row
        | {
            "datasetName": datasets[row["parent_dataset"]]["title"],
            "versionLabel": versions[row["versionRef"]]["label"],
        }
        for row in rows["distributions"]
    ]
    return version_2(rows) | {"distributions": named}


def indexes_1() -> list[tuple[str, dict[str, Any]]]:
    """The indexes, each with its collection."""
    lines = map(json.loads, (MADE / "indexes.jsonl").read_text().splitlines())
    return [(line["collection"], line["index"]) for line in lines]


async def store(database: Database, rows: Rows) -> None:
    """Make a database as that release left it."""
    for collection, index in indexes_1():
        await database.command({"createIndexes": collection, "indexes": [index]})
    for collection, some in rows.items():
        await database[collection].insert_many(some)


async def stored(database: Database) -> Rows:
    """The rows of each collection that has some, but for the schema version."""
    return {name: rows for name, (rows, _) in (await contents(database)).items() if rows and name != "schema_version"}


@pytest.fixture
def rows() -> Rows:
    return version_1()


async def test_step_2_fills_in_what_activities_wait_by_and_leaves_all_else(old: Database, rows: Rows) -> None:
    await store(old, rows)
    planned = await plan(old)
    before = await contents(old)

    assert (planned.steps[0][0].version, planned.steps[0][1]) == (2, sum(len(rows[name]) for name in ACTIVITIES))
    assert {count for _, count in planned.steps[1:-1]} == {0}
    assert (planned.steps[-1][0].version, planned.steps[-1][1]) == (7, len(rows["distributions"]))
    assert await contents(old) == before

    assert await migrate(old) == STEPS[-1].version
    assert await stored(old) == migrated(rows)
    assert not (await plan(old)).has_work
    await migrate(old)
    assert await stored(old) == migrated(rows)


@pytest.mark.parametrize("batches", [1, 3, 5])
async def test_killed_in_the_middle_it_goes_on(old: Database, rows: Rows, mongod: EmbeddedMongo, batches: int) -> None:
    await store(old, rows)
    async with killed_after(batches, mongod, old, released=True):
        assert (await plan(old)).version == 1

    await migrate(old)

    assert await stored(old) == migrated(rows)


async def test_the_indexes_are_then_those_of_a_database_that_was_made_anew(
    old: Database, rows: Rows, client: Client
) -> None:
    anew = client[f"{old.name}_anew"]
    await store(old, rows)

    await migrate(old)
    await migrate(anew)

    try:
        assert {name: indexes for name, (_, indexes) in (await contents(old)).items()} == {
            name: indexes for name, (_, indexes) in (await contents(anew)).items()
        }
    finally:
        await client.drop_database(anew)


def test_every_index_of_version_1_is_declared_still_or_dropped() -> None:
    made = {(collection, index["name"]) for collection, index in indexes_1()}

    kept = {(index.collection, index.name) for index in declared_indexes()}

    assert made - kept == {one for one in RETIRED if one in made}


@pytest.fixture
def server(mongod: EmbeddedMongo, tmp_path: Path) -> Iterator[Running]:
    """A server in production on a migrated database of version 1."""
    name = f"version_1_{uuid4().hex}"
    env = on_database(mongod.uri, name) | {"PROVENANCE_ENV": "production"}
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        for collection, index in indexes_1():
            client[name].command({"createIndexes": collection, "indexes": [index]})
        for collection, some in version_1().items():
            client[name][collection].insert_many(some)
        migrated = command("migrate", env=environment(tmp_path, env))
        assert migrated.returncode == 0, migrated.stderr
        with running(*COMMAND, "serve", env=env) as server:
            yield server
        client.drop_database(name)


def test_a_server_reads_and_goes_on_with_what_was_migrated(server: Running, rows: Rows) -> None:
    kinds = (
        "resources",
        "datasets",
        "digitalTwins",
        "executions",
        "steps",
        "transforms",
        "instances",
        "archives",
        "jobs",
    )
    ids = [row["_id"] for kind in kinds for row in rows[kind]]
    failed = next(row for row in rows["steps"] if row["status"] == "READY" and row["attempt"] == 1)

    found = server.ask("query($ids:[ID!]!){nodes(ids:$ids){id}}", {"ids": ids})["nodes"]
    step = server.ask("query($id:ID!){node(id:$id){...on Step{status attempt availableAt}}}", {"id": failed["_id"]})
    claimed = claim_until_none(server)
    repeated = server.ask(
        "mutation($input:RequestTransformInput!){requestTransform(input:$input){transform{id}userErrors{code}}}",
        {"input": {"resourceId": rows["resources"][0]["_id"], "idempotencyKey": "version-1"}},
    )

    assert [node["id"] for node in found] == ids
    assert step["node"] == {"status": "READY", "attempt": 1, "availableAt": None}
    waited = [row for row in rows["steps"] + rows["transforms"] if row["status"] == "READY"]
    assert {row["_id"]: row["attempt"] + 1 for row in waited}.items() <= claimed.items()
    (requested,) = [row["_id"] for row in rows["transforms"] if row["status"] == "READY"]
    assert repeated == {"requestTransform": {"transform": {"id": requested}, "userErrors": []}}


def claim_until_none(server: Running) -> dict[str, int]:
    """The activities that a worker gets, one after the other, and which attempts these are."""
    claimed: dict[str, int] = {}
    while True:
        payload = server.ask(
            "mutation($input:ClaimActivityInput!){claimActivity(input:$input){activity{id attempt}userErrors{code}}}",
            {"input": {"worker": "after"}},
        )["claimActivity"]
        assert payload["userErrors"] == []
        if payload["activity"] is None:
            return claimed
        claimed[payload["activity"]["id"]] = payload["activity"]["attempt"]
