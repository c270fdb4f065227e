"""Steps that are told to use outputs which exist already."""

from typing import Any

import pytest

import documents
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support import builders as new
from tests.support.asking import ADMIN, WORKER, answer, ask
from tests.support.builders import everything_kept, keep

pytestmark = pytest.mark.usefixtures("database")

HASH = "0a" * 32
CREATE = """mutation($input: CreateExecutionInput!) { createExecution(input: $input) {
  execution { id steps { nodes { id status } } } userErrors { code message path } } }"""
RERUN = CREATE.replace("CreateExecution", "RerunExecution").replace("createExecution", "rerunExecution")
FILES = """query($id: ID!, $first: Int, $after: String) { node(id: $id) { ... on Step {
  inputFiles(first: $first, after: $after) {
    nodes { outputId stepKey name sha256 } pageInfo { endCursor hasNextPage } totalCount } } } }"""
CLAIM = (
    """mutation { claimActivity(input: {worker: "w", leaseSeconds: 600}) { activity { id } userErrors { code } } }"""
)
SHARE = "mutation($input: UpdateOutputAccessInput!) { updateOutputAccess(input: $input) { userErrors { code } } }"


class Twins:
    """Two users with a twin each, which have run a step with key `clean`, and somebody else's private outputs."""

    def __init__(self) -> None:
        self.owner, self.other = new.a_user(), new.a_user()
        self.twin, self.other_twin = new.a_twin(self.owner), new.a_twin(self.other)
        component = new.a_component()
        self.version = new.a_component_version(component)
        mine, others = new.an_execution(self.twin), new.an_execution(self.other_twin)
        self.clean = new.a_step(mine, key="clean", attempt=1)
        self.others = new.a_step(others, key="secret", attempt=1)
        self.mine = new.an_output(self.clean, attempt=1, file_name="mine.csv", sha256=HASH)
        self.private = new.an_output(self.others, attempt=1, file_name="private.csv")
        self.shared = new.an_output(self.others, self.owner, attempt=1, file_name="shared.csv")
        self.public = new.an_output(self.others, attempt=1, file_name="public.csv", public=True)
        self.kept: list[documents.Document] = [self.owner, self.other, self.twin, self.other_twin, component]
        self.kept += [self.version, mine, others, self.clean, self.others]
        self.kept += [self.mine, self.private, self.shared, self.public]

    @property
    def viewer(self) -> Viewer:
        return Viewer(Role.USER, self.owner.id)

    async def create(self, *used: Any, viewer: Viewer | None = None, steps: Any = None) -> Any:
        steps = steps or [{"componentVersionId": self.version.id, "used": list(used)}]
        given = {"digitalTwinId": self.twin.id, "title": "again", "steps": steps}
        return (await ask(CREATE, viewer or self.viewer, input=given))["createExecution"]

    async def step_using(self, *used: Any, **more: Any) -> str:
        created = await self.create(*used, **more)
        assert created["userErrors"] == []
        id: str = created["execution"]["steps"]["nodes"][0]["id"]
        return id

    async def share(self, output: documents.Output, **given: Any) -> None:
        shared = await ask(SHARE, Viewer(Role.USER, self.other.id), input={"id": output.id, **given})
        assert shared["updateOutputAccess"]["userErrors"] == []


@pytest.fixture
async def twins(database: Any) -> Twins:
    twins = Twins()
    await keep(*twins.kept)
    return twins


async def files(id: str, viewer: Viewer) -> list[tuple[str, str]]:
    """Key and name of each input file."""
    page = (await ask(FILES, viewer, id=id))["node"]["inputFiles"]
    assert page["totalCount"] == len(page["nodes"])
    return [(file["stepKey"], file["name"]) for file in page["nodes"]]


async def test_what_a_step_uses_is_frozen_with_its_hash(twins: Twins) -> None:
    id = await twins.step_using(
        {"id": twins.mine.id, "sha256": HASH.upper()},
        {"id": twins.shared.id, "stepKey": " sea "},
        {"id": twins.public.id},
    )

    (kept,) = [row["used"] for row in (await everything_kept())["steps"] if row["_id"] == id]
    assert [Used(**used) for used in kept] == [
        Used(ref=twins.mine.id, sha256=HASH, declared=True, step_key="clean"),
        Used(ref=twins.shared.id, declared=True, step_key="sea"),
        Used(ref=twins.public.id, declared=True, step_key="used"),
    ]


async def test_nothing_said_is_told_from_nothing_used(twins: Twins) -> None:
    version = twins.version.id
    created = await twins.create(steps=[{"componentVersionId": version}, {"componentVersionId": version, "used": []}])

    ids = [step["id"] for step in created["execution"]["steps"]["nodes"]]
    rows = {row["_id"]: row["used"] for row in (await everything_kept())["steps"] if row["_id"] in ids}
    assert [rows[id] for id in ids] == [None, []]


async def test_what_cannot_be_used_is_told_at_once(twins: Twins) -> None:
    used = [
        {"id": twins.private.id},
        {"id": "output_none"},
        {},
        {"id": twins.mine.id, "sha256": "0b" * 32},
        {"id": twins.shared.id, "sha256": HASH},
        {"id": twins.public.id, "sha256": "0b"},
        {"id": twins.public.id, "stepKey": "x" * 256},
        {"id": twins.public.id},
        {"id": twins.public.id},
    ]
    before = await everything_kept()

    refused = await twins.create(*used)

    assert [(error["code"], error["path"][4:]) for error in refused["userErrors"]] == [
        ("NOT_FOUND", ["0", "id"]),
        ("NOT_FOUND", ["1", "id"]),
        ("VALIDATION", ["2"]),
        ("CHECKSUM_MISMATCH", ["3", "sha256"]),
        ("VALIDATION", ["4", "sha256"]),
        ("VALIDATION", ["5", "sha256"]),
        ("VALIDATION", ["6", "stepKey"]),
        ("VALIDATION", ["8", "id"]),
    ]
    hidden, unknown = (refused["userErrors"][number]["message"] for number in (0, 1))
    assert hidden.replace(twins.private.id, "output_none") == unknown
    assert await everything_kept() == before


async def test_files_do_not_come_among_those_of_others(twins: Twins) -> None:
    version, twin_of_public = twins.version.id, new.an_output(twins.others, file_name="public.csv", public=True)
    await keep(twin_of_public)
    both = [{"id": twins.public.id}, {"id": twin_of_public.id}]

    awaited = await twins.create(
        steps=[
            {"key": "clean", "componentVersionId": version},
            {"componentVersionId": version, "used": [{"id": twins.mine.id}]},
        ]
    )
    alike = await twins.create(*both)
    apart = await twins.create(both[0], {**both[1], "stepKey": "sea"})

    (error,) = awaited["userErrors"]
    assert error["path"] == ["input", "steps", "1", "used", "0", "stepKey"]
    assert error["message"] == (
        f"Output {twins.mine.id} would be placed among those of step clean, which this step waits for. "
        "Give another stepKey."
    )
    (error,) = alike["userErrors"]
    assert error["path"] == ["input", "steps", "0", "used", "1", "stepKey"]
    assert apart["userErrors"] == []


@pytest.mark.parametrize("most", [1_000, 1_001])
async def test_a_step_uses_a_thousand_outputs_at_most(twins: Twins, most: int) -> None:
    outputs = [new.an_output(twins.clean, attempt=1, file_name=f"{n}") for n in range(most)]
    await keep(*outputs)

    created = await twins.create(*({"id": output.id} for output in outputs))

    codes = [(error["code"], error["path"]) for error in created["userErrors"]]
    assert codes == ([] if most == 1_000 else [("LIMIT_EXCEEDED", ["input", "steps", "0", "used"])])


async def test_an_administrator_gives_nobody_what_is_not_shared_with_them(twins: Twins) -> None:
    refused = await twins.create({"id": twins.private.id}, viewer=ADMIN)
    created = await twins.create({"id": twins.shared.id}, viewer=ADMIN)

    assert [(error["code"], error["message"]) for error in refused["userErrors"]] == [
        (
            "FORBIDDEN",
            f"The owner of the digital twin may not read output {twins.private.id}: share it first.",
        )
    ]
    assert created["userErrors"] == []


async def test_input_files_are_those_that_the_viewer_may_read(twins: Twins) -> None:
    id = await twins.step_using({"id": twins.mine.id}, {"id": twins.shared.id}, {"id": twins.public.id})
    await documents.DigitalTwin.find_all().update({"$set": {"public": True}})
    await documents.Step.find_all().update({"$set": {"public": True}})

    assert await files(id, twins.viewer) == [("clean", "mine.csv"), ("used", "shared.csv"), ("used", "public.csv")]
    assert await files(id, ANONYMOUS) == [("used", "public.csv")]
    assert await files(id, WORKER) == [("used", "public.csv")]
    assert await files(id, Viewer(Role.USER, twins.other.id)) == [("used", "shared.csv"), ("used", "public.csv")]


async def test_readers_of_a_shared_twin_use_its_outputs(twins: Twins) -> None:
    lent = new.an_output(twins.others, attempt=1, file_name="lent.csv", reader_refs=[twins.owner.id])
    await keep(lent)

    id = await twins.step_using({"id": lent.id})
    await ask(CLAIM, WORKER)

    assert await files(id, WORKER) == [("used", "lent.csv")]


async def test_pages_of_what_is_used_and_what_is_waited_for_are_one_list(twins: Twins) -> None:
    version = twins.version.id
    created = await twins.create(
        steps=[
            {"key": "load", "componentVersionId": version},
            {"componentVersionId": version, "used": [{"id": twins.mine.id}, {"id": twins.public.id}]},
        ]
    )
    load, step = (one["id"] for one in created["execution"]["steps"]["nodes"])
    row = await documents.Step.get(load)
    assert row is not None
    await keep(new.an_output(row, attempt=0, file_name="loaded.csv"))

    first = (await ask(FILES, twins.viewer, id=step, first=2))["node"]["inputFiles"]
    rest = (await ask(FILES, twins.viewer, id=step, first=2, after=first["pageInfo"]["endCursor"]))["node"][
        "inputFiles"
    ]

    assert [file["name"] for file in first["nodes"]] == ["mine.csv", "public.csv"]
    assert first["pageInfo"]["hasNextPage"]
    assert [(file["stepKey"], file["name"]) for file in rest["nodes"]] == [("load", "loaded.csv")]
    assert (first["totalCount"], rest["totalCount"]) == (3, 3)


@pytest.mark.parametrize("worker", [WORKER, ADMIN], ids=["worker", "admin"])
async def test_who_holds_the_step_reads_what_its_owner_may(twins: Twins, worker: Viewer) -> None:
    used = [{"id": twins.mine.id}, {"id": twins.shared.id}, {"id": twins.public.id}]
    id = await twins.step_using(*used)

    claimed = (await ask(CLAIM, worker))["claimActivity"]["activity"]

    assert claimed == {"id": id}
    assert await files(id, worker) == [("clean", "mine.csv"), ("used", "shared.csv"), ("used", "public.csv")]
    if worker is WORKER:
        assert (await ask("query($id: ID!) { node(id: $id) { id } }", worker, id=twins.shared.id))["node"] is None


@pytest.mark.parametrize("worker", [WORKER, ADMIN], ids=["worker", "admin"])
@pytest.mark.parametrize("how", ["withdrawn", "hidden", "gone"])
async def test_who_holds_the_step_is_told_when_something_is_missing(twins: Twins, worker: Viewer, how: str) -> None:
    id = await twins.step_using({"id": twins.mine.id}, {"id": twins.shared.id}, {"id": twins.public.id})
    await ask(CLAIM, worker)

    missing = twins.public if how == "hidden" else twins.shared
    if how == "withdrawn":
        await twins.share(missing, revokeUserIds=[twins.owner.id])
    elif how == "hidden":
        await twins.share(missing, public=False)
    else:
        await missing.delete()
    refused = await answer(FILES, worker, id=id)

    (error,) = refused["errors"]
    assert error["extensions"]["code"] == "NOT_FOUND"
    assert error["message"] == (
        f"Output {missing.id}, which step {id} uses, was deleted, or is no longer shared with the owner."
    )
    assert [name for _, name in await files(id, twins.viewer)] == sorted(
        {"mine.csv", "shared.csv", "public.csv"} - {missing.file_name},
        key=["mine.csv", "shared.csv", "public.csv"].index,
    )


async def test_what_one_step_may_read_another_does_not_show(twins: Twins) -> None:
    version = twins.version.id
    steps = [{"componentVersionId": version, "used": [{"id": twins.shared.id}], "dependsOn": []} for _ in range(2)]
    created = await twins.create(steps=steps)
    held, waiting = (step["id"] for step in created["execution"]["steps"]["nodes"])
    await ask(CLAIM, WORKER)

    query = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Step { inputFiles { nodes { name } } } } }"
    found = await ask(query, WORKER, ids=[held, waiting])

    assert found["nodes"] == [{"inputFiles": {"nodes": [{"name": "shared.csv"}]}}, {"inputFiles": {"nodes": []}}]


async def test_a_workflow_is_told_what_to_use_when_it_is_run(twins: Twins) -> None:
    workflow = new.a_named_workflow(twins.owner, twins.version, twins.version)
    await keep(workflow)
    given = {"digitalTwinId": twins.twin.id, "title": "again", "workflowId": workflow.id}

    async def run(*used: Any) -> Any:
        override = {"stepKey": "1", "used": list(used)}
        return (await ask(CREATE, twins.viewer, input={**given, "overrides": [override]}))["createExecution"]

    refused = await run({"id": twins.private.id})
    created = await run({"id": twins.mine.id})

    assert [error["path"] for error in refused["userErrors"]] == [["input", "overrides", "0", "used", "0", "id"]]
    assert await files(created["execution"]["steps"]["nodes"][1]["id"], twins.viewer) == [("clean", "mine.csv")]


async def test_a_re_run_uses_the_same_outputs_while_they_may_be_read(twins: Twins) -> None:
    id = await twins.step_using({"id": twins.mine.id}, {"id": twins.shared.id, "stepKey": "sea"})
    row = await documents.Step.get(id)
    assert row is not None
    given = {"executionId": row.execution_ref, "strategy": "ALL_STEPS"}

    async def rerun() -> Any:
        return (await ask(RERUN, twins.viewer, input=given))["rerunExecution"]

    again = await rerun()
    await twins.share(twins.shared, revokeUserIds=[twins.owner.id])
    refused = await rerun()

    (step,) = again["execution"]["steps"]["nodes"]
    kept = await documents.Step.get(step["id"])
    assert kept is not None
    assert (kept.used, step["status"]) == (row.used, "READY")
    assert [(error["code"], error["message"], error["path"]) for error in refused["userErrors"]] == [
        ("NOT_FOUND", f"No Output with id {twins.shared.id}.", ["input", "executionId"])
    ]
    assert await documents.Execution.find({"parentRef": row.execution_ref}).count() == 1


async def test_a_re_run_is_told_as_much_as_the_run_before_and_not_what_that_took(twins: Twins) -> None:
    version, mine = twins.version.id, {"id": twins.mine.id}
    told: list[Any] = [{"used": []}, {}, {}, {"dependsOn": ["0"]}, {"dependsOn": ["0"], "used": [mine]}]
    steps = [{"componentVersionId": version, "dependsOn": [], **one} for one in told]
    created = await twins.create(steps=steps)
    ids = [step["id"] for step in created["execution"]["steps"]["nodes"]]
    taken = {"ref": twins.public.id, "sha256": None}
    await documents.Step.get_pymongo_collection().update_many({"_id": {"$in": ids[2:]}}, {"$set": {"used": [taken]}})
    fetched = Used(ref=twins.mine.id, sha256=HASH, step_key="clean").model_dump(by_alias=True)
    await documents.Step.get_pymongo_collection().update_one({"_id": ids[4]}, {"$push": {"used": fetched}})

    first = await documents.Step.get(ids[0])
    assert first is not None
    given = {"executionId": first.execution_ref, "strategy": "ALL_STEPS"}
    again = (await ask(RERUN, twins.viewer, input=given))["rerunExecution"]["execution"]

    rows = {row["_id"]: row["used"] for row in (await everything_kept())["steps"]}
    assert [rows[step["id"]] for step in again["steps"]["nodes"]] == [[], None, None, None, [fetched]]
