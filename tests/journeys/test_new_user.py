"""The journey of somebody new, from signing in to a result, all of it over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.journeys.people import Program, Somebody
from tests.support.follower import EXECUTION, follower
from tests.support.issuer import AUDIENCE, LocalIssuer, running_issuer
from tests.support.running import COMMAND, Running, command, environment, on_database, running

GAUGE_YML = """\
# A component that reads a tide gauge.
schema-version: "v0.5.0"

component-name: tide-gauge
component-version: "1.2.0"
component-license: Apache-2.0
component-type: ephemeral
component-description: Reads the heights of a tide gauge, one for each hour.
component-authors:
  - name: Harbour office
    orcid: null
component-repository:
  url: "https://code.example/harbour/tide-gauge"
  doi: null
component-docker-image: "registry.example/harbour/tide-gauge:1.2.0"
tags:
  - tides
  - sea

tools:
  - tool-name: gauge-reader
    tool-authors: []
    tool-version: "3.1"
    tool-repository: {url: "https://code.example/harbour/gauge-reader", doi: null}
    tool-license: MIT

secrets: null
build-args: null
ports: null

parameters:
  - name: HOURS
    default-value: 6
    datatype: integer
    description: How many hours to read.
    parameter-bounds: [1, 24]
    options: null
    allow-custom-value: true

data-inputs: null
data-output:
  - type: TXT
    path: ./tides.txt
    description: One height a line.
    naming-convention: ""
    data-sample: null
schema-input: null
schema-output: null
devices:
  - type: gpu
    required: false
"""

ALARM_YML = """\
schema-version: "v0.5.0"
component-name: tide-alarm
component-version: "0.9.1"
component-license: Apache-2.0
component-type: ephemeral
component-description: Tells the hours at which the water is too high.
component-authors: [{name: Harbour office, orcid: null}]
component-repository: {url: "https://code.example/harbour/tide-alarm", doi: null}
component-docker-image: "registry.example/harbour/tide-alarm:0.9.1"
tags: [tides, alarm]
tools: null
secrets: null
ports: null
parameters:
  - name: LIMIT
    default-value: 5
    datatype: float
    description: The height in metres from which on the water is too high.
    parameter-bounds: [0, inf]
    options: null
    allow-custom-value: true
data-output: null
devices: null
"""


def gauge(parameters: dict[str, Any], inputs: list[bytes]) -> bytes:
    """Heights, the same each time."""
    return "".join(f"{hour} {hour * 37 % 11}\n" for hour in range(parameters["HOURS"])).encode()


def alarm(parameters: dict[str, Any], inputs: list[bytes]) -> bytes:
    """The lines of all inputs whose height is above the limit."""
    lines = [line for content in inputs for line in content.splitlines(keepends=True)]
    return b"".join(line for line in lines if float(line.split()[1]) > parameters["LIMIT"])


PROGRAMS: dict[str, Program] = {"read": gauge, "warn": alarm}
READ = gauge({"HOURS": 6}, [])
STEPS = "steps { nodes { id key status parameters outputs { nodes { id fileName } } reusedFrom { id } } }"

IN_ONE_QUERY = """{ viewer { user { digitalTwins { nodes { name
  executions(orderBy: [{field: TITLE, direction: ASC}]) {
  nodes { title status parent { title } steps { nodes { key parameters componentVersion { version component {
    name } } logs { nodes { message } } } }
    results { nodes { title outputs { nodes { fileName downloadUrl { url method } } } } } } } } } } } }"""


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[LocalIssuer]:
    with running_issuer(tmp_path) as issuer:
        yield issuer


@pytest.fixture
def lab(mongod: EmbeddedMongo, issuer: LocalIssuer, tmp_path: Path) -> Iterator[tuple[Running, str]]:
    """A server where people sign in at the issuer, and a token for a worker of it."""
    env = on_database(mongod.uri, "test_new_user")
    env |= {"PROVENANCE_OIDC_ISSUER": issuer.url, "PROVENANCE_OIDC_AUDIENCE": AUDIENCE}
    with running(*COMMAND, "serve", env=env, directory=tmp_path) as server:
        made = command("token", "create", "machine-7", "--role", "worker", env=environment(tmp_path, env))
        assert made.returncode == 0, made.stderr
        yield server, made.stdout.strip()


async def test_somebody_new_runs_watches_shares_repeats_and_gathers(
    lab: tuple[Running, str], issuer: LocalIssuer
) -> None:
    server, secret = lab
    worker = Somebody(server, secret)
    ada = Somebody(server, issuer.token(sub="ada", name="Ada of the harbour", email="ada@harbour.example"))
    friend = Somebody(server, issuer.token(sub="friend", name="A friend"))

    # Sign in: whoever the issuer knows is a user at the first visit.
    me = ada.ask("{ viewer { role user { id displayName email } } }")["viewer"]
    assert (me["role"], me["user"]["displayName"]) == ("USER", "Ada of the harbour")
    friend_id = friend.ask("{ viewer { user { id } } }")["viewer"]["user"]["id"]

    # A pipeline registers two components; a twin is made, and an execution asked for.
    versions = [
        worker.register_version(GAUGE_YML, "https://code.example/harbour/tide-gauge", "1.2.0"),
        worker.register_version(ALARM_YML, "https://code.example/harbour/tide-alarm", "0.9.1"),
    ]
    twin = ada.do("createDigitalTwin", "digitalTwin { id }", name="The harbour")["digitalTwin"]["id"]
    steps = [{"key": key, "componentVersionId": id} for key, id in zip(PROGRAMS, versions, strict=True)]
    asked = ada.do(
        "createExecution", f"execution {{ id status {STEPS} }}", digitalTwinId=twin, title="tides", steps=steps
    )["execution"]
    assert [step["parameters"] for step in asked["steps"]["nodes"]] == [{"HOURS": 6}, {"LIMIT": 5}]
    assert worker.node(asked["id"], "id") is None

    # A worker runs it while she watches.
    async with follower(server, ada.token) as watching:
        await watching.follow(EXECUTION, id=asked["id"])
        first = await watching.next()
        reports = await asyncio.to_thread(worker.work_off, PROGRAMS)
        messages = await watching.rest()
    assert first == {"status": "READY", "steps": {"nodes": _statuses("READY", "PENDING")}}
    assert [report["execution"]["status"] for report in reports] == ["RUNNING", "SUCCEEDED"]
    last = messages[-2]["payload"]["data"]["execution"]
    assert last == {"status": "SUCCEEDED", "steps": {"nodes": _statuses("SUCCEEDED", "SUCCEEDED")}}
    assert messages[-1]["type"] == "complete"
    assert worker.node(asked["id"], "id") is None

    # She downloads what it made.
    read, warned = (
        step["outputs"]["nodes"][0]["id"]
        for step in ada.node(asked["id"], f"... on Execution {{ {STEPS} }}")["steps"]["nodes"]
    )
    assert [ada.download(_url_of(ada, id)) for id in (read, warned)] == [READ, alarm({"LIMIT": 5}, [READ])]

    # She shares it with a friend, and no longer.
    assert _url_of(friend, read) is None
    ada.do("updateOutputAccess", "output { id }", id=read, authorizeUserIds=[friend_id])
    assert friend.download(_url_of(friend, read)) == READ
    assert _url_of(friend, warned) is None
    ada.do("updateOutputAccess", "output { id }", id=read, revokeUserIds=[friend_id])
    assert _url_of(friend, read) is None

    # She runs the alarm again with another limit; the gauge is not read again.
    second = asked["steps"]["nodes"][1]["id"]
    again = ada.do(
        "rerunExecution",
        "execution { id }",
        executionId=asked["id"],
        strategy="FROM_STEP",
        fromStepId=second,
        title="tides, lower",
        parameterOverrides=[{"stepKey": "warn", "parameters": {"LIMIT": 2.5}}],
    )["execution"]["id"]
    (report,) = await asyncio.to_thread(worker.work_off, PROGRAMS)
    assert report == {"status": "SUCCEEDED", "execution": {"id": again, "status": "SUCCEEDED"}}
    reused, ran = ada.node(again, f"... on Execution {{ {STEPS} }}")["steps"]["nodes"]
    assert (reused["reusedFrom"]["id"], reused["outputs"]["nodes"]) == (asked["steps"]["nodes"][0]["id"], [])
    lower = ran["outputs"]["nodes"][0]["id"]

    # She gathers a result, and reads everything back at once.
    ada.do("createResult", "result { id }", executionId=again, title="Alarms", outputIds=[read, lower])
    found = ada.ask(IN_ONE_QUERY)["viewer"]["user"]
    (harbour,) = found["digitalTwins"]["nodes"]
    run, rerun = harbour["executions"]["nodes"]
    assert (harbour["name"], run["title"], rerun["title"]) == ("The harbour", "tides", "tides, lower")
    assert (run["parent"], rerun["parent"]) == (None, {"title": "tides"})
    assert [step["parameters"] for step in rerun["steps"]["nodes"]] == [{"HOURS": 6}, {"LIMIT": 2.5}]
    assert [step["componentVersion"]["component"]["name"] for step in run["steps"]["nodes"]] == [
        "tide-gauge",
        "tide-alarm",
    ]
    assert [line["message"] for line in rerun["steps"]["nodes"][1]["logs"]["nodes"]] == [
        "warn runs with [('LIMIT', 2.5)]",
        f"{len(alarm({'LIMIT': 2.5}, [READ]))} bytes made",
    ]
    (result,) = rerun["results"]["nodes"]
    gathered = {one["fileName"]: ada.download(one["downloadUrl"]) for one in result["outputs"]["nodes"]}
    assert (result["title"], run["results"]["nodes"]) == ("Alarms", [])
    assert gathered == {"read.txt": READ, "warn.txt": alarm({"LIMIT": 2.5}, [READ])}


def _statuses(*statuses: str) -> list[dict[str, str]]:
    return [{"key": key, "status": status} for key, status in zip(PROGRAMS, statuses, strict=True)]


def _url_of(viewer: Somebody, output: str) -> Any:
    """The URL at which a viewer may download an output; None if they may not see it."""
    found = viewer.node(output, "... on Output { downloadUrl { url method } }")
    return found and found["downloadUrl"]
