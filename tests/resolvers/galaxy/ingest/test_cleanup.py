"""Rows of a cancelled archive are removed, and never those that another archive has put in their place."""

from datetime import timedelta
from typing import Any

import pytest

import documents
from documents.mongo.transaction import in_transaction
from resolvers.galaxy.discard import cancel_with_parts
from resolvers.galaxy.ingest import cleanup
from resolvers.reads.rows import Row, collection_of
from tests.support.ingesting import Server, jobs, parts_of, the

pytestmark = pytest.mark.usefixtures("database")
NOW = timedelta(0)
"""The lease of a worker that is known to be gone."""


async def a_cancelled_part(*, rows: int) -> Row:
    """The part of an archive whose worker had written so many rows when it was cancelled."""
    server = await Server.new()
    ingestion = await server.queues(await server.sends(jobs(1)))

    async def cancelling(session: Any) -> Row | None:
        return await cancel_with_parts(await the(documents.Ingestion, ingestion), "No longer wanted.", session)

    await in_transaction(cancelling)
    (part,) = await parts_of(ingestion)
    await parts().update_one({"_id": part["_id"]}, {"$set": {"leftovers": True}})
    await jobs_of(part, *range(rows))
    return part


async def jobs_of(part: Row, *numbers: int, **fields: str) -> None:
    """Rows of a part's archive, with these numbers."""
    own = {name: part[name] for name in ("instanceRef", "generationRef", "archiveRef")}
    await rows().insert_many([{"_id": f"{part['generationRef']}_{n:05}", **own, **fields} for n in numbers])


def parts() -> Any:
    return collection_of(documents.IngestionPart)


def rows() -> Any:
    return collection_of(documents.Job)


class Overtaken:
    """The jobs, of which another archive takes some over after they were looked for and before they are deleted."""

    def __init__(self, ids: list[str]) -> None:
        self._ids = ids

    def find(self, *arguments: Any, **options: Any) -> Any:
        return rows().find(*arguments, **options)

    async def delete_many(self, match: Any) -> Any:
        await rows().update_many({"_id": {"$in": self._ids}}, {"$set": {"archiveRef": "archive_of_another"}})
        return await rows().delete_many(match)


async def test_rows_that_another_archive_takes_over_meanwhile_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    part = await a_cancelled_part(rows=10)
    taken = [f"{part['generationRef']}_{n:05}" for n in (0, 4, 9)]
    overtaken = Overtaken(taken)
    monkeypatch.setattr(
        cleanup, "collection_of", lambda kind: overtaken if kind is documents.Job else collection_of(kind)
    )

    assert await cleanup.remove_leftovers({}, "worker", NOW)

    left = await rows().find({}, sort=[("_id", 1)]).to_list()
    assert [(row["_id"], row["archiveRef"]) for row in left] == [(id, "archive_of_another") for id in taken]
    assert (await the(documents.IngestionPart, part["_id"]))["leftovers"] is False


@pytest.mark.parametrize("field", ["archiveRef", "generationRef"])
async def test_rows_of_other_archives_and_of_other_generations_stay(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "BATCH_SIZE", 3)
    part = await a_cancelled_part(rows=7)
    await jobs_of(part | {field: "another"}, *range(100, 105))

    assert await cleanup.remove_leftovers({}, "worker", NOW)

    assert await rows().count_documents({}) == await rows().count_documents({field: "another"}) == 5
    assert not await cleanup.remove_leftovers({}, "worker", NOW)
