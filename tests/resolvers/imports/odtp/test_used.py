"""What imported steps used: outputs of the step before, and data at the URLs among their parameters."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from documents.mongo.database import Client, Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support import odtp_shapes as odtp
from tests.support.asking import ADMIN, ask
from tests.support.odtp_shapes import DAY, Row, hex
from tests.support.odtp_source import import_source, odtp_source

LINK = "https://drive.example/index.php/s/COCq6UaK5b4bs7W"
DONE = DAY + timedelta(hours=1)
OWNER, STRANGER = Viewer(Role.USER, f"user_{hex(1)}"), Viewer(Role.USER, f"user_{hex(2)}")

USED = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Step { used(first: 100) { nodes { __typename
  ... on Output { id } ... on ExternalData { url version sha256 } } }
  lineage(direction: UPSTREAM, depth: 1) { edges { isAssumed } } } } }"""


@pytest.fixture
async def source(client: Client) -> AsyncIterator[Database]:
    """An empty database for ODTP's rows."""
    async with odtp_source(client) as source:
        yield source


def an_execution(*steps: Row, public: bool = True, **output_of: list[Row]) -> dict[str, list[Row]]:
    """An execution of these steps, in their order."""
    numbers = [int(str(step["_id"])[8:], 16) for step in steps]
    return {
        "users": [odtp.user(1, digitalTwins=[odtp.oid(11)]), odtp.user(2, name="Eva")],
        "digitalTwins": [odtp.twin(11, 1, executions=[odtp.oid(41)], public=public)],
        "components": [odtp.component(21, versions=[odtp.oid(31)])],
        "versions": [odtp.version(31, 21)],
        "executions": [odtp.execution(41, 11, steps=numbers, versions=[31] * len(steps), workflow_id=None)],
        "steps": list(steps),
        **output_of,
    }


def a_step(number: int, **other: Any) -> Row:
    """A step that has ended."""
    return odtp.step(number, 41, 31, **{"start_timestamp": DAY, "end_timestamp": DONE, "parameters": {}, **other})


async def used(*numbers: int, viewer: Viewer = ADMIN) -> list[list[str]]:
    """What each step used: the ids of outputs, and the URLs of data in an unknown state."""
    found = (await ask(USED, viewer, ids=[f"step_{hex(number)}" for number in numbers]))["nodes"]
    for step in (step for step in found if step):
        elsewhere = [node for node in step["used"]["nodes"] if node["__typename"] == "ExternalData"]
        assert all(node["version"] is node["sha256"] is None for node in elsewhere)
        assert sum(edge["isAssumed"] for edge in step["lineage"]["edges"]) == len(elsewhere)
    return [[node.get("id") or node["url"] for node in step["used"]["nodes"]] if step else [] for step in found]


async def test_each_step_used_exactly_the_outputs_of_the_one_before(database: Database, source: Database) -> None:
    steps = [a_step(51), a_step(52), a_step(53), a_step(54, start_timestamp=None, end_timestamp=None)]
    outputs = [odtp.output(61, 51), odtp.output(62, 51), odtp.output(63, 51, "snapshot"), odtp.output(64, 52)]

    await import_source(source, an_execution(*steps, outputs=outputs))

    assert await used(51, 52, 53, 54) == [[], [f"output_{hex(61)}", f"output_{hex(62)}"], [f"output_{hex(64)}"], []]
    stored = await database["steps"].find({"used": None}).sort("_id").to_list()
    assert [step["_id"] for step in stored] == [f"step_{hex(51)}", f"step_{hex(54)}"]


async def test_parameters_that_are_urls_are_data_that_the_step_used_without_their_queries(
    database: Database, source: Database
) -> None:
    parameters = {
        "LINK": f" {LINK}?rlkey=s3cr3t ", "AGAIN": LINK, "BUCKET": "S3://Data/a?b.csv", "N": 3, "PATH": "a/b.csv",
        "TEXT": f"see {LINK}", "MAIL": "mailto:ada@people.example", "FILES": [f"{LINK}/list"],
    }  # fmt: skip

    await import_source(source, an_execution(a_step(51, parameters=parameters)))

    assert await used(51) == [[LINK, "s3://data/a?b.csv"]]
    stored = await database["external_data"].find().to_list()
    assert "s3cr3t" not in str(stored)


@pytest.mark.parametrize("public", [True, False])
async def test_what_a_private_twin_reads_is_seen_by_its_owner_alone(
    database: Database, source: Database, public: bool
) -> None:
    await import_source(source, an_execution(a_step(51, parameters={"LINK": LINK}), public=public))

    (stored,) = await database["external_data"].find().to_list()
    assert (stored["public"], stored["ownerRefs"]) == (public, [] if public else [OWNER.user_id])
    assert await used(51, viewer=OWNER) == [[LINK]]
    for viewer in (STRANGER, ANONYMOUS):
        assert await used(51, viewer=viewer) == [[LINK] if public else []]
        found = await ask("query ($url: String!) { externalData(url: $url) { url } }", viewer, url=LINK)
        assert found["externalData"] == ({"url": LINK} if public else None)


async def test_importing_again_adds_what_ended_since_and_leaves_the_rest(database: Database, source: Database) -> None:
    running = a_step(52, end_timestamp=None)
    await import_source(
        source, an_execution(a_step(51, parameters={"LINK": LINK}), running, outputs=[odtp.output(61, 51)])
    )
    first = await used(51, 52)

    await source["steps"].update_one({"_id": odtp.oid(52)}, {"$set": {"end_timestamp": DONE}})
    await source["steps"].update_one({"_id": odtp.oid(51)}, {"$set": {"parameters": {"LINK": "https://new.example"}}})
    await import_source(source, {"outputs": [odtp.output(62, 51)]})
    second = await used(51, 52)
    await database["outputs"].delete_many({"_id": f"output_{hex(61)}"})
    kept = await database["steps"].find().sort("_id").to_list()
    await import_source(source)

    assert first == [[LINK], []]
    assert second == [[LINK], [f"output_{hex(61)}", f"output_{hex(62)}"]]
    assert await database["steps"].find().sort("_id").to_list() == kept


async def test_outputs_of_a_step_further_back_stand_for_none_of_a_step_that_was_refused(
    database: Database, source: Database
) -> None:
    steps = [a_step(51), a_step(52, component_version=odtp.oid(99)), a_step(53)]

    await import_source(source, an_execution(*steps, outputs=[odtp.output(61, 51), odtp.output(62, 52)]))

    assert await used(51, 52, 53) == [[], [], []]
    assert await database["steps"].count_documents({"used": None}) == 2
