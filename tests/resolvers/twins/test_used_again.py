"""Data at URLs among parameters, which steps are assumed to read, and what a re-run is told to use."""

import json
from typing import Any

import pytest

import documents
from documents.provenance.external_data import external_data_id
from documents.provenance.used import Used
from documents.twins.component_version import ParameterDefinition
from resolvers.twins import used_again as module
from resolvers.twins.used_again import assume_parameters_are_read
from tests.resolvers.twins.test_used_by_steps import Twin, steps_of
from tests.support import builders as new
from tests.support.builders import everything_kept, keep
from tests.support.runs import do

pytestmark = pytest.mark.usefixtures("database")

LINK = "https://drive.example/s/a.zip?rlkey=secret&dl=1"
FILE = "https://drive.example/s/a.zip"


def assumed(url: str) -> Used:
    return Used(ref=external_data_id(url, None, None), assumed=True, declared=True)


def told(url: str, version: str) -> Used:
    return Used(ref=external_data_id(url, version, None), declared=True)


async def test_a_step_is_assumed_to_read_what_its_parameters_name() -> None:
    twin = Twin()
    twin.version.parameters = [
        ParameterDefinition(name="DEFAULT", datatype="string", default_value='"gs://bucket/b?.csv"')
    ]
    await keep(*twin.kept)
    parameters = {
        "LINK": f" {LINK}",
        "AGAIN": f"{FILE}?year=7",
        "TEXT": f"see {FILE}",
        "MAIL": "mailto://me@example.org",
        "LIST": [f"{FILE}.list"],
        "NUMBER": 7,
    }

    step, silent, exact = await steps_of(
        await twin.create(
            {"parameters": parameters},
            {"parameters": parameters, "used": []},
            {"parameters": parameters, "used": [{"url": FILE, "version": "1"}]},
        )
    )

    assert step.used == [assumed("gs://bucket/b?.csv"), assumed(FILE)]
    assert silent.used == []
    assert exact.used == [told(FILE, "1"), assumed("gs://bucket/b?.csv")]
    stored = (await everything_kept())["external_data"]
    assert {row["url"] for row in stored if row["version"] is None} == {FILE, "gs://bucket/b?.csv"}
    assert {(row["public"], *row["ownerRefs"]) for row in stored} == {(False, twin.owner.id)}
    assert "secret" not in str(stored)


def test_of_too_many_urls_the_first_are_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_USED_OF_EXECUTION", 4)
    execution = new.an_execution(new.a_twin(new.a_user()))
    parameters = json.dumps({str(number): f"{FILE}/{number}" for number in range(3)}).replace("/", "\\/")
    steps = [new.a_step(execution, ordinal=number, parameters=parameters) for number in range(3)]
    steps[1].used = [told(FILE, "1")]

    states = assume_parameters_are_read(steps, {})

    assert [len(step.used or []) for step in steps] == [3, 1, 0]
    assert [state.url for state in states] == [f"{FILE}/{number}" for number in range(3)]


async def test_a_re_run_is_told_the_same_and_reads_what_its_own_parameters_name() -> None:
    twin = Twin()
    await keep(*twin.kept)
    first = await twin.create(
        {"key": "a", "parameters": {"LINK": LINK}, "used": [{"url": FILE, "version": "1"}, {"id": twin.archive.id}]},
        {"key": "b", "parameters": {"LINK": LINK, "OTHER": "s3://bucket/c"}},
    )
    a, b = await steps_of(first)
    reported = {"ref": external_data_id(FILE, "2", None)}
    await documents.Step.find({"executionRef": a.execution_ref}).update({"$push": {"used": reported}})

    again = await do(
        "rerunExecution",
        "execution { id }",
        twin.viewer,
        executionId=a.execution_ref,
        strategy="ALL_STEPS",
        parameterOverrides=[{"stepKey": key, "parameters": {"LINK": f"{FILE}.new"}} for key in "ab"],
    )

    archive = Used(ref=twin.archive.id, sha256=twin.archive.sha256, declared=True)
    assert [a.used, b.used] == [[told(FILE, "1"), archive], [assumed(FILE), assumed("s3://bucket/c")]]
    assert [step.used for step in await steps_of(again)] == [
        [told(FILE, "1"), archive, assumed(f"{FILE}.new")],
        [assumed(f"{FILE}.new"), assumed("s3://bucket/c")],
    ]
    stored: Any = {row["_id"]: row["ownerRefs"] for row in (await everything_kept())["external_data"]}
    assert stored[assumed(f"{FILE}.new").ref] == [twin.owner.id]


async def test_a_step_that_is_reused_reads_nothing_again() -> None:
    twin = Twin()
    await keep(*twin.kept)
    first = await twin.create({"key": "a", "parameters": {"LINK": LINK}}, {"key": "b", "dependsOn": ["a"]})
    a, b = await steps_of(first)
    await documents.Step.find({"_id": a.id}).update({"$set": {"status": "SUCCEEDED"}})
    await documents.Step.find({"_id": b.id}).update({"$set": {"status": "FAILED"}})

    again = await do(
        "rerunExecution",
        "execution { id }",
        twin.viewer,
        executionId=a.execution_ref,
        strategy="FROM_STEP",
        fromStepId=b.id,
    )

    assert [step.used for step in await steps_of(again)] == [None, None]
