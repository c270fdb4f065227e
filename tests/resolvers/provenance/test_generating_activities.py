"""The activities that made artifacts, found for hundreds of them at once."""

import pytest

from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.galaxy.generation import GenerationStatus
from resolvers.provenance.generating_activities import generating_activity_ids
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("database")


async def test_the_makers_of_hundreds_of_generations_are_found_in_one_round_trip(round_trips: RoundTrips) -> None:
    instance = new.an_instance()
    generations = [new.a_generation(instance, status=GenerationStatus.RETIRED) for _ in range(150)]
    ingestions = [new.an_ingestion(instance, one) for one in generations]
    archive, done = new.an_archive(instance), {"status": ActivityStatus.SUCCEEDED, "ended_at": now()}
    await keep(*(new.a_part(one, archive, **done) for one in ingestions))

    with round_trips.counting() as seen:
        found = await generating_activity_ids([{"_id": one.id} for one in generations])

    assert found == [one.id for one in ingestions]
    assert seen == [("aggregate", "ingestionParts")]
