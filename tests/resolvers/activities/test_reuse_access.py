"""The runners of a re-run may read the steps that it reuses until it ends."""

from dataclasses import dataclass

import pytest

import documents
from resolvers.access.viewer import Viewer
from tests.support.asking import ADMIN, ask
from tests.support.clock import Clock
from tests.support.runs import WORKER, a_dag, a_worker, cancel, claim, complete, do
from tests.support.storage import Place
from tests.support.uploading import upload_bytes

pytestmark = pytest.mark.usefixtures("database", "stopped")

OTHER = a_worker(2)
REUSES = """query ($id: ID!) { node(id: $id) { ... on Execution { steps { nodes { key reusedFrom {
  key status outputs { nodes { fileName downloadUrl { url } } } } } } } } }"""


@dataclass
class Reused:
    """A private execution that has ended, a → b, of which a left a file in the bucket."""

    execution: str
    a: str
    b: str
    output: str

    async def rerun(self) -> str:
        """The id of a re-run of b, which takes what a left."""
        given = {"executionId": self.execution, "strategy": "FROM_STEP", "fromStepId": self.b}
        payload = await do("rerunExecution", "execution { id }", ADMIN, **given)
        assert payload["userErrors"] == []
        id: str = payload["execution"]["id"]
        return id

    async def seen(self, viewer: Viewer = WORKER) -> list[bool]:
        """Whether a viewer sees the step that left the file, the file, the other step, and their execution."""
        ids = [self.a, self.output, self.b, self.execution]
        found = await ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", viewer, ids=ids)
        return [one is not None for one in found["nodes"]]


LENT, HIDDEN = [True, True, False, False], [False] * 4


@pytest.fixture
async def reused(folder: Place) -> Reused:
    dag = await a_dag(a="", b="a")
    await claim()
    upload = await upload_bytes(folder, WORKER, b"high and low")
    given = {"stepId": dag.steps["a"].id, "fileName": "tides.csv", "uploadId": upload}
    output = (await do("registerOutput", "output { id }", WORKER, **given))["output"]["id"]
    await complete(dag.steps["a"].id)
    await claim()
    await complete(dag.steps["b"].id)
    return Reused(dag.execution.id, dag.steps["a"].id, dag.steps["b"].id, output)


async def test_who_runs_a_rerun_downloads_what_it_reuses(reused: Reused, folder: Place) -> None:
    again = await reused.rerun()
    await claim()

    first, second = (await ask(REUSES, WORKER, id=again))["node"]["steps"]["nodes"]

    assert (first["key"], first["reusedFrom"]["key"], first["reusedFrom"]["status"]) == ("a", "a", "SUCCEEDED")
    assert second == {"key": "b", "reusedFrom": None}
    (output,) = first["reusedFrom"]["outputs"]["nodes"]
    assert output["fileName"] == "tides.csv"
    assert (await folder.request("GET", output["downloadUrl"]["url"])).content == b"high and low"


@pytest.mark.parametrize("end", ["completed", "cancelled"])
async def test_what_is_reused_is_read_while_the_rerun_runs_and_no_longer(reused: Reused, end: str) -> None:
    assert await reused.seen() == HIDDEN
    again = await reused.rerun()
    assert await reused.seen() == HIDDEN

    step = (await claim())["id"]
    while_it_runs, by_others = await reused.seen(), await reused.seen(OTHER)
    await (complete(step) if end == "completed" else cancel(again))

    assert (while_it_runs, by_others) == (LENT, HIDDEN)
    assert await reused.seen() == HIDDEN
    for kind, id in ((documents.Step, reused.a), (documents.Output, reused.output)):
        row = await kind.get_pymongo_collection().find_one({"_id": id})
        assert row is not None
        assert row["borrowers"] == []


async def test_of_two_reruns_the_end_of_one_takes_nothing_from_the_other(reused: Reused) -> None:
    await reused.rerun()
    await reused.rerun()
    first, second = (await claim())["id"], (await claim())["id"]

    await complete(first)
    between = await reused.seen()
    await complete(second)

    assert between == LENT
    assert await reused.seen() == HIDDEN


async def test_each_who_runs_a_rerun_reads_what_it_reuses_until_it_ends(reused: Reused, clock: Clock) -> None:
    again = await reused.rerun()
    step = (await claim())["id"]
    error = {"code": "BUSY", "message": "later", "retryable": True}
    await complete(step, outcome="FAILED", error=error)
    clock.forward(11)
    await claim(OTHER, "worker-2")

    both = [await reused.seen(), await reused.seen(OTHER)]
    await complete(step, OTHER, "worker-2", attempt=2)

    assert both == [LENT, LENT]
    assert [await reused.seen(), await reused.seen(OTHER)] == [HIDDEN, HIDDEN]
    assert await ask("query ($id: ID!) { node(id: $id) { id } }", WORKER, id=again) == {"node": None}


async def test_what_belongs_to_somebody_else_is_not_lent(reused: Reused) -> None:
    await reused.rerun()
    elsewhere = {"$set": {"ownerRef": "user_000000000000000000000009"}}
    await documents.Step.get_pymongo_collection().update_one({"_id": reused.a}, elsewhere)
    await documents.Output.get_pymongo_collection().update_one({"_id": reused.output}, elsewhere)

    await claim()

    assert await reused.seen() == HIDDEN
