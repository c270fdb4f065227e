"""Importing what real ODTP databases surprise with: what is made of it, and what is said about it."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

import documents
from documents.mongo.database import Client, Database
from resolvers.imports.summary import Note
from tests.support import odtp_shapes as odtp
from tests.support.odtp_shapes import DAY, Row, hex, oid
from tests.support.odtp_source import everything, import_source, odtp_source, reasons, release, stored_row

NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture
async def source(client: Client) -> AsyncIterator[Database]:
    """An empty database for ODTP's rows."""
    async with odtp_source(client) as source:
        yield source


async def test_names_that_repeat_get_a_number(database: Database, source: Database) -> None:
    summary = await import_source(source, {
        "users": [odtp.user(1), odtp.user(2), odtp.user(3, "Ada (2)"), odtp.user(4)],
        "digitalTwins": [odtp.twin(11, 1), odtp.twin(12, 1), odtp.twin(13, 2)],
        "components": [odtp.component(21), odtp.component(22)],
        "versions": [odtp.version(31, 21), odtp.version(32, 21), odtp.version(33, 22)],
        "executions": [odtp.execution(41, 11, [], []), odtp.execution(42, 11, [], []), odtp.execution(43, 12, [], [])],
    })  # fmt: skip

    rows = await everything(database)
    assert [one["displayName"] for one in rows["users"]] == ["Ada", "Ada (2)", "Ada (2) (2)", "Ada (3)"]
    assert [one["name"] for one in rows["digitalTwins"]] == ["Corsica", "Corsica (2)", "Corsica"]
    assert [one["version"] for one in rows["versions"]] == ["v0.1.8", "v0.1.8 (2)", "v0.1.8"]
    assert [one["title"] for one in rows["executions"]] == ["First try", "First try (2)", "First try"]
    assert reasons(summary.adjustments, "users", 4) == ["displayName 'Ada' is taken; called 'Ada (3)'."]
    assert summary.adjusted["digitalTwins"] == 1


async def test_a_name_that_somebody_has_here_already_is_not_taken_away(database: Database, source: Database) -> None:
    await documents.User(display_name="Ada").insert()

    await import_source(source, {"users": [odtp.user(1)]})

    assert (await stored_row(database, "users", f"user_{hex(1)}"))["displayName"] == "Ada (2)"


async def test_components_of_one_repository_are_merged(database: Database, source: Database) -> None:
    here = documents.Component(component_name="known", repo_link="https://github.com/example/component-21")
    await here.insert()

    summary = await import_source(source, {
        "components": [odtp.component(21), odtp.component(22, repoLink="https://github.com/example/component-21.git")],
        "versions": [odtp.version(31, 21, "v1"), odtp.version(32, 22, "v2", created_at=NEXT_DAY)],
    })  # fmt: skip

    rows = await everything(database)
    assert [(one["_id"], one["latestVersionRef"]) for one in rows["components"]] == [(here.id, release(32))]
    assert [(one["version"], one["componentId"]) for one in rows["versions"]] == [("v1", here.id), ("v2", here.id)]
    assert summary.already["components"] == 2
    assert reasons(summary.adjustments, "components", 22) == [
        f"Its repoLink is that of {here.id}; its versions are imported as versions of that one."
    ]


async def test_what_odtp_has_hidden_comes_along_and_says_so(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    for collection in ("users", "digitalTwins", "components", "versions", "executions", "results", "workflows"):
        rows[collection][0]["deprecated"] = True
    summary = await import_source(source, rows)

    kept = await everything(database)
    assert kept["users"][0]["displayName"] == "Ada"
    assert (kept["digitalTwins"][0]["status"], kept["digitalTwins"][0]["public"]) == ("deprecated", False)
    assert kept["components"][0]["status"] == "deprecated"
    assert kept["components"][0]["latestVersionRef"] is None
    assert kept["versions"][0]["deprecated"] is True
    assert kept["executions"][0]["tags"] == ["deprecated"]
    assert kept["results"][0]["tags"] == ["demo", "deprecated"]
    assert [one["public"] for name in ("executions", "steps", "results") for one in kept[name]] == [False] * 4
    assert reasons(summary.adjustments, "digitalTwins", 11) == [
        "It is deprecated in ODTP; taken with the status deprecated, and private."
    ]
    assert kept["workflows"][0]["tags"] == ["deprecated"]
    assert summary.refused == {}


async def test_what_refers_to_nothing_is_refused_with_all_that_hangs_on_it(
    database: Database, source: Database
) -> None:
    rows = odtp.a_chain()
    rows["digitalTwins"].append(odtp.twin(12, 404, "Nobody's"))
    rows["versions"] += [odtp.version(32, 404), odtp.version(33, 21, "v3", commitHash=None)]
    rows["executions"].append(odtp.execution(42, 12, [53], [31]))
    rows["steps"] += [
        odtp.step(53, 42, 31),
        odtp.step(54, 404, 31),
        odtp.step(55, 41, 404),
        odtp.step(56, 41, 31, _id="a"),
    ]
    rows["outputs"] += [odtp.output(63, 53), odtp.output(64, 404), odtp.output(65, 51, s3_bucket=None)]
    rows["logs"] += [odtp.page(74, 53, "a"), odtp.page(75, 53, "b"), {"_id": oid(76), "logstring": "c"}]
    rows["results"] += [odtp.result(82, 42, 12, []), odtp.result(83, 41, 11, [61, 404])]
    rows["users"].append({"_id": "somebody", "displayName": "Eve"})
    summary = await import_source(source, rows)

    assert [tuple(note) for note in summary.refusals] == [
        ("users", "somebody", "Its id 'somebody' is not an ObjectId."),
        ("digitalTwins", hex(12), f"Its userRef refers to the user {hex(404)}, which is not here."),
        ("versions", hex(32), f"Its componentId refers to the component {hex(404)}, which is not here."),
        ("versions", hex(33), "It has no commitHash."),
        ("executions", hex(42), f"Its digitalTwinRef refers to the twin {hex(12)}, which is not here."),
        ("steps", hex(55), f"Its component_version refers to the version {hex(404)}, which is not here."),
        ("steps", "a", "Its id 'a' is not an ObjectId."),
        ("steps", hex(53), f"Its executionRef refers to the execution {hex(42)}, which is not here."),
        ("steps", hex(54), f"Its executionRef refers to the execution {hex(404)}, which is not here."),
        ("outputs", hex(63), f"Its stepRef refers to the step {hex(53)}, which is not here."),
        ("outputs", hex(64), f"Its stepRef refers to the step {hex(404)}, which is not here."),
        ("outputs", hex(65), "It has no s3_bucket."),
        ("results", hex(82), f"Its executionRef refers to the execution {hex(42)}, which is not here."),
        ("logs", hex(53), f"2 pages of the step {hex(53)}, which is not here."),
        ("logs", "", "1 page without an id, or of no step."),
    ]  # fmt: skip
    assert summary.refused["logs"] == 3
    assert reasons(summary.adjustments, "results", 83) == [
        f"Its output names outputs that are not here ({hex(404)}); left out."
    ]
    assert {name: len(found) for name, found in (await everything(database)).items()} == {
        "users": 1, "digitalTwins": 1, "components": 1, "versions": 1, "executions": 1, "steps": 2, "outputs": 2,
        "logs": 7, "results": 2, "workflows": 1,
    }  # fmt: skip


WAITING = {"start_timestamp": None, "end_timestamp": None, "run_step": True}
RUNNING = {"end_timestamp": None}
FAILED = {"error": True, "msg": "Exit code 3"}
LEFT_OUT = WAITING | {"run_step": False}


@pytest.mark.parametrize(
    ("steps", "execution", "expected", "overall"),
    [
        ([WAITING, WAITING], {"start_timestamp": None}, ["PENDING", "PENDING"], "PENDING"),
        ([LEFT_OUT, WAITING], {"start_timestamp": None}, ["PENDING", "PENDING"], "PENDING"),
        ([{}, RUNNING, WAITING], {}, ["SUCCEEDED", "RUNNING", "PENDING"], "RUNNING"),
        ([{}, WAITING], {}, ["SUCCEEDED", "PENDING"], "RUNNING"),
        ([{}, FAILED, WAITING, LEFT_OUT], {}, ["SUCCEEDED", "FAILED", "CANCELLED", "CANCELLED"], "FAILED"),
        ([LEFT_OUT, {}], {}, ["SKIPPED", "SUCCEEDED"], "SUCCEEDED"),
        ([], {"end_timestamp": DAY}, [], "SUCCEEDED"),
    ],
)
async def test_statuses_are_read_off_times_and_errors(
    database: Database, source: Database, steps: list[Row], execution: Row, expected: list[str], overall: str
) -> None:
    rows = odtp.a_chain() | {name: [] for name in ("outputs", "logs", "results", "workflows")}
    numbers = [51 + place for place in range(len(steps))]
    rows["executions"] = [odtp.execution(41, 11, numbers, [], **execution)]
    rows["steps"] = [odtp.step(number, 41, 31, **other) for number, other in zip(numbers, steps, strict=True)]
    await import_source(source, rows)

    kept = await everything(database)
    assert [one["status"] for one in kept["steps"]] == expected
    assert kept["executions"][0]["status"] == overall
    failure = {"code": "ODTP_STEP_FAILED", "message": "Exit code 3", "retryable": False}
    assert [one["error"] for one in kept["steps"]] == [failure if one == "FAILED" else None for one in expected]


async def test_a_chain_closes_over_steps_that_are_missing_or_refused(database: Database, source: Database) -> None:
    rows = odtp.a_chain() | {"outputs": [], "logs": [], "results": []}
    rows["executions"][0]["steps"] = [oid(53), oid(404), oid(52), oid(51)]
    rows["steps"] = [
        odtp.step(51, 41, 31), odtp.step(52, 41, 404), odtp.step(53, 41, 31, executionRef=None), odtp.step(54, 41, 31),
    ]  # fmt: skip
    summary = await import_source(source, rows)

    kept = await everything(database)
    assert {one["_id"]: (one["ordinal"], one["dependsOn"]) for one in kept["steps"]} == {
        f"step_{hex(53)}": (0, []),
        f"step_{hex(51)}": (2, [f"step_{hex(53)}"]),
        f"step_{hex(54)}": (3, [f"step_{hex(51)}"]),
    }
    assert reasons(summary.adjustments, "executions", 41) == [
        f"It lists the step {hex(404)}, which is none of its steps; left out."
    ]


async def test_the_forms_of_the_documentation_are_read_too(database: Database, source: Database) -> None:
    entries = [{"timestamp": NEXT_DAY, "type": "DEBUG", "logstring": "a\nb"}, {"type": "WARN", "logstring": "c"}]
    rows = {
        "users": [odtp.user(1)],
        "digitalTwins": [odtp.twin(11, 1, userRef=oid(1))],
        "components": [odtp.component(21, title="Title", type="persistent")],
        "versions": [
            odtp.version(31, 21, "1.0.0", componentId=None, component=None, Component={"ComponentId": oid(21)},
                         version="v1.0", dockerHubLink="https://hub.docker.com/x", parameters={}, secrets=None),
            odtp.version(32, 21, parameters={"SIZE": 4}),
        ],
        "executions": [
            odtp.execution(41, 11, [51], [], tags=["tag1"], workflowSchema={
                "workflowExecutor": "barfi", "workflowExecutorVersion": "v2.0",
                "component_versions": [{"version": oid(31)}, {"version": oid(404)}], "WorkflowExecutorSchema": {},
            }),
        ],
        "steps": [odtp.step(51, 41, 31, component_version=oid(31), type="interactive", logs=entries)],
        "output": [odtp.output(61, 51, stepRef=oid(51), s3_key="path/to/file.png", file_name="file.png")],
        "logs": [odtp.page(71, 51, "d")],
        "results": [odtp.result(81, 41, 11, [61], executionRef=None)],
    }  # fmt: skip
    await import_source(source, rows)

    kept = await everything(database)
    first, second = kept["versions"]
    assert (first["version"], first["component_version"], first["parameters"]) == ("v1.0", "1.0.0", [])
    assert first["dockerHubLink"] == "https://hub.docker.com/x"
    assert [(one["name"], one["default-value"]) for one in second["parameters"]] == [("SIZE", "4")]
    assert kept["executions"][0]["workflowSchema"] == {
        "workflowExecutor": "barfi", "workflowExecutorVersion": "v2.0", "component_versions": [release(31)],
        "workflowExecutorSchema": "{}",
    }  # fmt: skip
    assert (kept["steps"][0]["type"], kept["steps"][0]["component_version"]) == ("interactive", release(31))
    lines = sorted(kept["logs"], key=lambda line: int(line["sequence"]))
    assert [(one["sequence"], one["type"], one["logstring"], one["timestamp"]) for one in lines] == [
        (1, "DEBUG", "a", NEXT_DAY), (2, "DEBUG", "b", NEXT_DAY), (3, "WARNING", "c", DAY), (4, "INFO", "d", DAY),
    ]  # fmt: skip
    assert kept["outputs"][0]["s3_key"] == "path/to/file.png"
    assert kept["results"][0]["executionRef"] == f"execution_{hex(41)}"


async def test_a_version_that_describes_nothing_has_no_metadata(database: Database, source: Database) -> None:
    nothing = dict.fromkeys(("odtp_version", "type", "license", "parameters", "ports", "secrets"))
    versions = [odtp.version(31, 21, "v1", **nothing), odtp.version(32, 21, "v2", **nothing | {"license": "MIT"})]
    await import_source(source, {"components": [odtp.component(21)], "versions": versions})

    bare, licensed = (await everything(database))["versions"]
    assert [bare[name] for name in ("metadata", "parameters", "ports", "secrets")] == [None, [], [], []]
    assert licensed["metadata"] == '{"license": "MIT"}'


async def test_values_of_the_wrong_form_are_named_and_stop_nothing(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    rows["users"][0] |= {"displayName": None, "created_at": "yesterday", "updated_at": None, "email": 5, "role": "x"}
    rows["digitalTwins"][0] |= {"public": "yes", "created_at": "2024-01-02T03:04:05Z"}
    rows["components"][0] |= {"type": "magic", "tags": None, "componentName": ""}
    rows["executions"][0] |= {"workflowSchema": None}
    rows["steps"][0] |= {"ports": ["8501:8501", "web"], "parameters": {"x": float("nan"), "at": DAY}}
    rows["outputs"][0] |= {"file_size": -1, "access_control": {"authorized_users": ["eve", hex(404)]}}
    summary = await import_source(source, rows)

    kept = await everything(database)
    assert kept["users"][0]["displayName"] == "u1"
    assert kept["users"][0]["created_at"] == datetime(2023, 9, 12, 6, 6, 56)
    assert (kept["digitalTwins"][0]["public"], kept["digitalTwins"][0]["created_at"]) == (
        False, datetime(2024, 1, 2, 3, 4, 5),
    )  # fmt: skip
    assert (kept["components"][0]["componentName"], kept["components"][0]["type"]) == ("component-21", "ephemeral")
    assert kept["steps"][0]["parameters"] == '{"x": "nan", "at": "2024-05-06T07:08:09.123Z"}'
    assert kept["steps"][0]["ports"] == ["8501:8501"]
    assert kept["outputs"][0]["file_size"] is None
    assert reasons(summary.adjustments, "users", 1) == [
        "email is not a text; read as 5.", 'created_at is "yesterday", which is not a time; left out.',
    ]  # fmt: skip
    assert reasons(summary.adjustments, "digitalTwins", 11) == ['public is "yes"; taken as private.']
    assert reasons(summary.adjustments, "outputs", 61) == [
        "file_size is -1, which is not a size; left out.",
        'authorized_users has "eve", a user who is not here; left out.',
        f'authorized_users has "{hex(404)}", a user who is not here; left out.',
    ]
    assert Note("users", "", "The field role has no place here and was left out of 1 row.") in summary.adjustments


async def test_names_are_cut_to_what_lists_can_be_ordered_by(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    rows["digitalTwins"][0]["name"] = "n" * 20_000

    summary = await import_source(source, rows)

    assert (await everything(database))["digitalTwins"][0]["name"] == "n" * 9_999 + "…"
    assert reasons(summary.adjustments, "digitalTwins", 11) == ["name has 20,000 characters; cut to 10,000."]


async def test_a_line_whose_number_is_taken_here_is_refused(database: Database, source: Database) -> None:
    here = documents.LogEntry(activity_ref=f"step_{hex(51)}", sequence=2, message="was here before")
    await here.insert()

    summary = await import_source(source, odtp.a_chain())

    assert summary.taken["logs"] == 6
    assert [note for note in summary.refusals if note.collection == "logs"] == [
        Note("logs", f"{hex(71)}_1", f"Another line has the number 2 of step_{hex(51)}.")
    ]
    assert (await stored_row(database, "logs", here.id))["logstring"] == "was here before"


async def test_unknown_collections_are_named(database: Database, source: Database) -> None:
    summary = await import_source(source, {"users": [odtp.user(1)], "films": [{}, {}]})

    assert summary.refusals == [Note("films", "", "This is not a collection of ODTP; left out: 2 rows.")]
    assert summary.refused["films"] == 2
