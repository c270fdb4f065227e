"""Following the log of an ingestion, whichever worker writes it."""

from documents.activity import ActivityStatus
from documents.log_entry import LogLevel
from resolvers.fetch import collection_of
from resolvers.ingest.ingestion.lines import say
from tests.builders import an_ingestion, an_instance, keep
from tests.graph.subscriptions.follower import LOGS, follower
from tests.graph.subscriptions.test_logs import lines, written
from tests.graph.subscriptions.world import World
from tests.running import Running

UNKNOWN = "ingestion_ffffffffffffffffffffffff"


async def test_what_a_worker_says_of_reports_is_told_at_once_until_the_ingestion_has_ended(
    altered: Running, world: World
) -> None:
    instance = an_instance(public=True)
    ingestion = an_ingestion(instance, status=ActivityStatus.RUNNING, attempt=1)
    await keep(instance, ingestion)
    await say(ingestion.id, LogLevel.INFO, "one")

    async with follower(altered) as client:
        await client.follow(LOGS, id=ingestion.id)
        there, _ = await lines(client, 1)
        await say(ingestion.id, LogLevel.INFO, "two")
        following, _ = await lines(client, 1)
        await say(ingestion.id, LogLevel.INFO, "three")
        ended = {"$set": {"status": ActivityStatus.SUCCEEDED.value}}
        await collection_of(type(ingestion)).update_one({"_id": ingestion.id}, ended)
        told = await client.rest()

    assert (there, following, written(told)) == ([1], [2], [3])
    assert told[-1]["type"] == "complete"


async def test_the_log_of_a_private_instances_ingestion_is_none_for_strangers(altered: Running, world: World) -> None:
    instance = an_instance()
    ingestion = an_ingestion(instance, status=ActivityStatus.RUNNING)
    await keep(instance, ingestion)
    await say(ingestion.id, LogLevel.INFO, "secret")

    async with follower(altered, token="") as client:
        await client.follow(LOGS, id=ingestion.id)
        hidden = await client.rest()
        await client.follow(LOGS, id=UNKNOWN)
        never = await client.rest()

    assert str(hidden).replace(ingestion.id, UNKNOWN) == str(never)
