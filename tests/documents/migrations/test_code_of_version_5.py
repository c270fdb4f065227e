"""Code that version 5 stored as its repository was spelled is found in one form afterwards."""

from typing import Any

from documents.migrations import migrate, plan
from documents.migrations.schema_version import COLLECTION, ID
from documents.mongo.database import Database

NORMAL = "https://code.example/rain"
OTHER = "https://code.example:8443/rain"


def code(*repositories: str) -> list[dict[str, Any]]:
    return [{"repository": one, "path": f"{n}.py", "commit": f"0a1{n}"} for n, one in enumerate(repositories)]


STEPS = {
    "step_1": code(NORMAL),
    "step_2": code("git@code.example:rain.git"),
    "step_3": code(OTHER),
    "step_4": code(),
}
TRANSFORMS = {
    "transform_1": code("", NORMAL),
    "transform_2": code(NORMAL, "http://code.example/rain/", ""),
}
EXPECTED = {
    "steps": STEPS | {"step_2": code(NORMAL)},
    "transforms": TRANSFORMS | {"transform_2": code(NORMAL, NORMAL, "")},
}


async def store(database: Database) -> None:
    """Make a database with activities as version 5 left them, in part."""
    await database[COLLECTION].insert_one({"_id": ID, "version": 5})
    fields = {"executionRef": "execution_1", "status": "SUCCEEDED"}
    await database.steps.insert_many({"_id": id, "key": id, "code": one, **fields} for id, one in STEPS.items())
    await database.transforms.insert_many({"_id": id, "code": one} for id, one in TRANSFORMS.items())


async def stored_code(database: Database) -> dict[str, dict[str, Any]]:
    return {name: {row["_id"]: row["code"] async for row in database[name].find()} for name in EXPECTED}


async def test_repositories_are_spelled_in_one_way_and_all_else_stays(old: Database) -> None:
    await store(old)
    planned = await plan(old)

    await migrate(old)

    # That of another port is looked at as well.
    assert [(step.version, rows) for step, rows in planned.steps] == [(6, 3), (7, 0)]
    assert await stored_code(old) == EXPECTED
    assert await old.steps.find_one({"_id": "step_2"}, {"code": 0, "_id": 0}) == {
        "executionRef": "execution_1",
        "status": "SUCCEEDED",
        "key": "step_2",
    }
