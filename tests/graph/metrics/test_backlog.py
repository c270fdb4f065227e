"""The queues are told from the database, and when it is away that alone."""

from datetime import timedelta

import pytest
from pymongo.errors import ServerSelectionTimeoutError

import documents
from documents.base import now
from documents.mongo.database import Database
from graph.metrics import backlog
from graph.metrics.backlog import Backlog
from graph.metrics.families import Value
from resolvers.reads.rows import collection_of
from tests.support.runs import a_dag, claim


async def told(of: Backlog) -> dict[str, Value]:
    """The metrics by name, and the label where there is one."""
    return {
        " ".join((family.name, *labels)): value
        for family in await of.snapshots()
        for labels, value in family.values.items()
    }


@pytest.mark.usefixtures("database")
async def test_waiting_running_and_lapsed_steps_are_told_apart() -> None:
    await a_dag(a="", b="", c="", d="a")
    claimed = await claim()
    steps = collection_of(documents.Step)
    await steps.update_one({"_id": claimed["id"]}, {"$set": {"leaseExpiresAt": now() - timedelta(1)}})
    await steps.update_many({"status": "READY"}, {"$set": {"created_at": now() - timedelta(seconds=90)}})

    found = await told(Backlog())

    assert found["provenance_database_up"] == 1
    assert found["provenance_activities_waiting step"] == 2
    assert found["provenance_activities_running step"] == 1
    assert found["provenance_activities_lease_expired step"] == 1
    oldest = found["provenance_activities_oldest_waiting_seconds step"]
    assert isinstance(oldest, float)
    assert 90 <= oldest < 600
    assert found["provenance_activities_waiting transform"] == 0
    assert found["provenance_activities_oldest_waiting_seconds transform"] == 0


@pytest.mark.usefixtures("database")
async def test_archives_that_wait_are_told_with_the_age_of_the_oldest() -> None:
    for number, status in enumerate(("READY", "READY", "RUNNING", "SUCCEEDED")):
        await documents.IngestionPart(
            ingestion_ref="ingestion_1",
            instance_ref="instance_1",
            archive_ref=f"archive_{number}",
            status=status,
            created_at=now() - timedelta(seconds=60 - number),
        ).insert()

    found = await told(Backlog())

    assert (found["provenance_ingest_parts_waiting"], found["provenance_ingest_parts_running"]) == (2, 1)
    oldest = found["provenance_ingest_oldest_waiting_seconds"]
    assert isinstance(oldest, float)
    assert 60 <= oldest < 600


async def test_what_was_read_serves_the_next_scrapes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Backlog()
    before = await told(read)
    await a_dag(a="")

    soon = await told(read)
    monkeypatch.setattr(backlog, "MAX_AGE", -1.0)
    later = await told(read)

    name = "provenance_activities_waiting step"
    assert (before[name], soon[name], later[name]) == (0, 0, 1)


async def test_a_database_that_is_away_is_told_as_down(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*given: object) -> None:
        raise ServerSelectionTimeoutError("db.internal:27017: refused")

    monkeypatch.setattr(backlog, "ingest_backlog", away)

    assert await told(Backlog()) == {"provenance_database_up": 0}
