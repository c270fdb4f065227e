"""The sample data is stored however an earlier demo ended."""

import documents
from documents.mongo.database import Database
from resolvers.demo_data import store_sample
from tests.support.asking import ask


async def test_a_demo_that_was_killed_before_its_twins_were_stored_is_completed(database: Database) -> None:
    await documents.User(display_name="demo-researcher").insert()
    said: list[str] = []

    await store_sample(said.append)
    await store_sample(said.append)

    kinds = await _lineage_of_publication()
    assert kinds == ["Distribution", "Transform", "Output", "Step", "Generation", *["Ingestion"] * 3, *["Archive"] * 3]
    assert await documents.DigitalTwin.count() == 3
    assert await documents.User.count() == 1
    assert said[-2:] == ["The sample data is stored.", "The sample data is there."]


async def _lineage_of_publication() -> list[str]:
    """The kinds of what the publication is made from that comes from the reports of the sample's Galaxy."""
    dataset = await documents.Dataset.find_one(documents.Dataset.identifier == "computing-hours")
    assert dataset is not None
    query = """query ($id: ID!) { node(id: $id) { ... on Traceable { lineage(direction: UPSTREAM) {
      nodes { node { __typename } } } } } }"""
    lineage = (await ask(query, id=dataset.id))["node"]["lineage"]
    return [node["node"]["__typename"] for node in lineage["nodes"]]
