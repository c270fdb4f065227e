"""The sample data is stored however an earlier demo ended."""

import documents
from documents.mongo.database import Database
from resolvers.demo_data import store_sample


async def test_a_demo_that_was_killed_before_its_twins_were_stored_is_completed(database: Database) -> None:
    await documents.User(display_name="demo-researcher").insert()
    said: list[str] = []

    await store_sample(said.append)
    await store_sample(said.append)

    assert await documents.DigitalTwin.count() == 2
    assert await documents.User.count() == 1
    assert said[-2:] == ["The sample data is stored.", "The sample data is there."]
