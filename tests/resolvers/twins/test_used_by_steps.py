"""Steps of new executions that are told to use artifacts of any kind, and data at URLs."""

from typing import Any

import pytest

import documents
from documents.provenance.external_data import external_data_id
from documents.provenance.used import Used
from resolvers.access.viewer import Role, Viewer
from tests.support import builders as new
from tests.support.asking import ADMIN
from tests.support.builders import everything_kept, keep
from tests.support.runs import claim, do, refusals

pytestmark = pytest.mark.usefixtures("database")

URL = "https://files.example/a.csv"
HASH = "0a" * 32


class Twin:
    """A user with a twin, a component version to run, and artifacts to use."""

    def __init__(self, *, public: bool = False) -> None:
        self.owner = new.a_user()
        self.viewer = Viewer(Role.USER, self.owner.id)
        self.twin = new.a_twin(self.owner, public=public)
        self.version = new.a_component_version(component := new.a_component())
        mine, others = new.an_instance(self.owner), new.an_instance(new.a_user())
        self.output = new.an_output(new.a_step(new.an_execution(self.twin), key="clean"), sha256=HASH)
        self.archive, self.hidden = new.an_archive(mine), new.an_archive(others)
        self.elsewhere = new.external_data(self.owner, url=URL, version="1")
        self.kept: list[documents.Document] = [self.owner, self.twin, component, self.version]
        self.kept += [self.output, self.archive, self.hidden, self.elsewhere]

    async def create(self, *steps: Any, viewer: Viewer | None = None, **given: Any) -> Any:
        given = {"digitalTwinId": self.twin.id, "title": "run", **given}
        given["steps"] = [{"componentVersionId": self.version.id, "dependsOn": [], **step} for step in steps]
        return await do("createExecution", "execution { id }", viewer or self.viewer, **given)


async def a_kept_twin(**fields: Any) -> Twin:
    twin = Twin(**fields)
    await keep(*twin.kept)
    return twin


async def steps_of(payload: Any) -> list[documents.Step]:
    """The steps of an execution that was just written, in order."""
    assert payload["userErrors"] == []
    of_execution = documents.Step.find({"executionRef": payload["execution"]["id"]}, sort="ordinal")
    return await of_execution.to_list()


async def test_outputs_are_fetched_and_all_else_is_recorded() -> None:
    twin = await a_kept_twin()
    told = [
        {"id": twin.output.id, "stepKey": "sea"},
        {"id": twin.archive.id},
        {"id": twin.elsewhere.id},
        {"url": URL, "version": "1", "sizeBytes": "7"},
        {"url": URL},
    ]

    (step,) = await steps_of(await twin.create({"used": told}))

    assert step.used == [
        Used(ref=twin.output.id, sha256=HASH, declared=True, step_key="sea"),
        Used(ref=twin.archive.id, sha256=twin.archive.sha256, declared=True),
        Used(ref=twin.elsewhere.id, declared=True),
        Used(ref=external_data_id(URL, None, None), assumed=True, declared=True),
    ]
    states = {row["version"]: row for row in (await everything_kept())["external_data"]}
    assert {version: (row["public"], row["ownerRefs"]) for version, row in states.items()} == {
        "1": (False, [twin.owner.id]),
        None: (False, [twin.owner.id]),
    }
    assert [report["size_bytes"] for report in states["1"]["reports"]] == [7]


async def test_what_a_public_twin_reads_is_public() -> None:
    twin = await a_kept_twin(public=True)

    await twin.create({"used": [{"url": URL, "version": "1", "sizeBytes": "7"}]})

    (state,) = (await everything_kept())["external_data"]
    assert (state["public"], state["size_bytes"], state["ownerRefs"]) == (True, 7, [twin.owner.id])


@pytest.mark.parametrize("dry_run", [False, True])
async def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_stored(dry_run: bool) -> None:
    twin = await a_kept_twin()
    before = await everything_kept()
    used = [{"id": twin.hidden.id}, {"id": twin.archive.id, "stepKey": "sea"}, {"url": "a.csv"}, {"url": URL}, {}]

    refused = await twin.create({"used": used}, {"used": [{"url": URL, "stepKey": "sea"}]}, dryRun=dry_run)
    as_admin = await twin.create({"used": [{"id": twin.hidden.id}]}, viewer=ADMIN, dryRun=dry_run)

    assert refusals(refused) == [
        ("NOT_FOUND", ["input", "steps", "0", "used", "0", "id"]),
        ("VALIDATION", ["input", "steps", "0", "used", "1", "stepKey"]),
        ("VALIDATION", ["input", "steps", "0", "used", "2", "url"]),
        ("VALIDATION", ["input", "steps", "0", "used", "4"]),
        ("VALIDATION", ["input", "steps", "1", "used", "0", "stepKey"]),
    ]
    assert refusals(as_admin) == [("FORBIDDEN", ["input", "steps", "0", "used", "0", "id"])]
    assert await everything_kept() == before


async def test_a_dry_run_stores_nothing() -> None:
    twin = await a_kept_twin()
    before = await everything_kept()

    payload = await twin.create({"used": [{"url": "https://files.example/b.csv"}]}, dryRun=True)

    assert payload == {"execution": None, "userErrors": []}
    assert await everything_kept() == before


async def test_a_claim_keeps_what_the_step_was_told_to_use() -> None:
    twin = await a_kept_twin()
    told = {"url": URL, "sha256": HASH}
    payload = await twin.create({"key": "a"}, {"key": "b", "dependsOn": ["a"], "used": [told]}, {"used": [told]})
    first, *_ = steps = await steps_of(payload)
    taken = new.an_output(first, attempt=1)
    await documents.Step.find({"_id": first.id}).update({"$set": {"status": "SUCCEEDED", "attempt": 1}})
    await documents.Step.find({"_id": steps[1].id}).update({"$set": {"status": "READY"}})
    await keep(taken)

    claimed = {(await claim())["id"], (await claim())["id"]}

    read = Used(ref=external_data_id(URL, None, HASH), sha256=HASH, declared=True)
    assert claimed == {step.id for step in steps[1:]}
    assert [step.used for step in await steps_of(payload)] == [None, [read, Used(ref=taken.id)], [read]]
