"""Following the log of an ingestion, whichever worker writes it."""

import documents
from documents.activities.activity import ActivityStatus
from documents.activities.log_entry import LogLevel
from documents.mongo.transaction import in_transaction
from resolvers.galaxy.ingestion_log import append_ingestion_line
from resolvers.reads.rows import collection_of
from tests.graph.websocket.subscriptions.test_logs import lines, written
from tests.graph.websocket.subscriptions.world import World
from tests.support.builders import an_ingestion, an_instance, keep
from tests.support.follower import LOGS, follower
from tests.support.running import Running

UNKNOWN = "ingestion_ffffffffffffffffffffffff"


async def said(ingestion: documents.Ingestion, line: str) -> None:
    """Append a line as a worker does that has done with a report."""
    await in_transaction(lambda session: append_ingestion_line(ingestion.id, LogLevel.INFO, line, session))


async def test_what_a_worker_says_of_reports_is_told_at_once_until_the_ingestion_has_ended(
    faulty_server: Running, world: World
) -> None:
    instance = an_instance(public=True)
    ingestion = an_ingestion(instance, status=ActivityStatus.RUNNING, attempt=1)
    await keep(instance, ingestion)
    await said(ingestion, "one")

    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=ingestion.id)
        there, _ = await lines(client, 1)
        await said(ingestion, "two")
        following, _ = await lines(client, 1)
        await said(ingestion, "three")
        ended = {"$set": {"status": ActivityStatus.SUCCEEDED.value}}
        await collection_of(type(ingestion)).update_one({"_id": ingestion.id}, ended)
        told = await client.rest()

    assert (there, following, written(told)) == ([1], [2], [3])
    assert told[-1]["type"] == "complete"


async def test_the_log_of_a_private_instances_ingestion_is_none_for_strangers(
    faulty_server: Running, world: World
) -> None:
    instance = an_instance()
    ingestion = an_ingestion(instance, status=ActivityStatus.RUNNING)
    await keep(instance, ingestion)
    await said(ingestion, "secret")

    async with follower(faulty_server, token="") as client:
        await client.follow(LOGS, id=ingestion.id)
        hidden = await client.rest()
        await client.follow(LOGS, id=UNKNOWN)
        never = await client.rest()

    assert str(hidden).replace(ingestion.id, UNKNOWN) == str(never)
