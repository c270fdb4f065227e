"""A report that completes a transform which a worker had claimed."""

import pytest

from documents.mongo.database import Database
from tests.support import runs
from tests.support.asking import WORKER
from tests.support.catalogue import NOTHING, REQUEST, ask, counts, csvw, do, ingest

pytestmark = pytest.mark.usefixtures("database")


async def test_a_claimed_transform_is_completed_once() -> None:
    resource = (await ingest())["resource"]["id"]
    waiting = (await do(REQUEST, resourceId=resource))["transform"]["id"]
    too_early = await ingest(transformId=waiting)
    await _claim(waiting)

    first = await ingest(transformId=waiting, distributions=[{"csvwText": csvw("births", n=2)}], validated=False)
    second = await ingest(transformId=waiting, distributions=[{"csvwText": csvw("births", n=3)}])

    assert [(one["currentState"], one["allowedStates"], one["path"]) for one in too_early["userErrors"]] == [
        ("READY", ["RUNNING"], ["input", "transformId"])
    ]
    assert first["userErrors"] == []
    assert first["transform"]["id"] == waiting
    assert [(one["currentState"], one["allowedStates"]) for one in second["userErrors"]] == [("SUCCEEDED", ["RUNNING"])]
    published = await ask("{ datasets { nodes { versions { nodes { label } } } } }")
    assert published["datasets"]["nodes"] == [{"versions": {"nodes": [{"label": "v1"}, {"label": "v2"}]}}]
    found = await ask(
        """query ($id: ID!) { transform(id: $id) { status worker leaseExpiresAt cause { kind } code { commit }
          details { completed validated } distributions { nodes { version { label } } } } }""",
        id=waiting,
    )
    assert found["transform"] == {
        "status": "SUCCEEDED",
        "worker": "runner-1",
        "leaseExpiresAt": None,
        "cause": {"kind": "REQUESTED"},
        "code": [{"commit": "a1" * 20}, {"commit": "b2" * 20}],
        "details": {"completed": True, "validated": False},
        "distributions": {"nodes": [{"version": {"label": "v2"}}]},
    }


async def test_a_transform_of_another_resource_is_not_completed(database: Database) -> None:
    births = (await ingest())["resource"]["id"]
    claimed = (await do(REQUEST, resourceId=births))["transform"]["id"]
    await _claim(claimed)

    payload = await ingest(transformId=claimed, landingPage="https://statistics.example/deaths")

    assert [(one["__typename"], one["path"]) for one in payload["userErrors"]] == [
        ("InvalidInput", ["input", "transformId"])
    ]
    assert await counts(database) == NOTHING | {
        "organisations": 1,
        "resources": 1,
        "datasets": 1,
        "dataset_versions": 1,
        "distributions": 1,
        "transforms": 2,
    }


async def _claim(id: str) -> None:
    claimed = await runs.claim(WORKER, "runner-1", kinds=["TRANSFORM"])
    assert claimed["id"] == id
