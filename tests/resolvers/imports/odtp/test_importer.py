"""Importing ODTP databases: what is taken under which ids, twice, halfway, and as clients see it."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

import documents
from documents.mongo.database import Client, Database
from resolvers.imports.odtp.importer import NotOdtpError, import_odtp
from tests.support import odtp_shapes as odtp
from tests.support.asking import ask
from tests.support.odtp_shapes import COMMIT, DAY, Row, hex
from tests.support.odtp_source import TAKEN, everything, fill, import_source, odtp_source, release, stored_row

NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture
async def source(client: Client) -> AsyncIterator[Database]:
    """An empty database for ODTP's rows."""
    async with odtp_source(client) as source:
        yield source


METADATA = {
    "odtp_version": "v0.5.0", "type": "ephemeral", "license": "AGPL-3.0",
    "parameters": [
        {"name": "COUNT", "datatype": "int", "default-value": 3, "description": "How often.", "options": None,
         "parameter-bounds": [1, "inf"], "allow-custom-value": True},
    ],
    "ports": [{"name": "Web", "description": "A page.", "port-value": 8501}],
    "secrets": [{"name": "TOKEN", "datatype": "str", "description": "A key.", "value": None}],
}  # fmt: skip
"""The facts of the component in the version's row, without the secret's value."""


async def test_a_row_of_each_kind_is_kept_in_our_form(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())

    made = {"created_at": DAY, "updated_at": NEXT_DAY}
    owned = {"ownerRef": f"user_{hex(1)}", "public": True, "readerRefs": []}
    assert await everything(database) == {
        "users": [
            {"_id": f"user_{hex(1)}", "displayName": "Ada", "email": "u1@example.org", "github": "u1",
             "oidcSubject": None, **made},
        ],
        "digitalTwins": [
            {"_id": f"twin_{hex(11)}", "userRef": f"user_{hex(1)}", "name": "Corsica", "status": "active",
             "public": True, "readerRefs": [], "additions": 0, "revision": 1, **made},
        ],
        "components": [
            {"_id": f"component_{hex(21)}", "componentName": "odtp-example", "title": None, "author": None,
             "repoLink": "https://github.com/example/component-21", "type": "ephemeral", "status": "active",
             "description": "Says hello.", "tags": ["demo"], "latestVersionRef": release(31), "deprecations": 0,
             "revision": 1, **made},
        ],
        "versions": [
            {"_id": release(31), "componentId": f"component_{hex(21)}", "version": "v0.1.8",
             "component_version": "v0.1.8", "commitHash": COMMIT, "dockerHubLink": None, "title": None,
             "description": "Says hello.", "tags": ["demo"],
             "parameters": [
                 {"name": "COUNT", "datatype": "integer", "default-value": "3", "description": "How often.",
                  "options": None, "allow-custom-value": True, "minimum": 1.0, "maximum": None},
             ],
             "ports": [{"name": "Web", "description": "A page.", "port-value": 8501}], "secrets": ["TOKEN"],
             "metadata": json.dumps(METADATA), "deprecated": False, **made},
        ],
        "executions": [
            {"_id": f"execution_{hex(41)}", "digitalTwinRef": f"twin_{hex(11)}", **owned, "title": "First try",
             "description": "Description for Execution", "tags": [], "status": "SUCCEEDED",
             "workflowSchema": {"workflowExecutor": "odtpwf", "workflowExecutorVersion": "0.2.0",
                                "component_versions": [release(31), release(31)], "workflowExecutorSchema": "[0, 1]"},
             "workflowRef": f"workflow_{hex(900)}", "workflowRevision": None, "parentRef": None, "runners": [],
             "start_timestamp": DAY,
             "end_timestamp": DAY + timedelta(hours=1), "revision": 1, **made},
        ],
        "steps": [
            a_step(51, key="1", ordinal=1, dependsOn=[f"step_{hex(52)}"]),
            a_step(52, key="0", ordinal=0, dependsOn=[]),
        ],
        "outputs": [
            an_output(61, "output", {"public": False, "authorized_users": []}),
            an_output(62, "snapshot", {"public": True, "authorized_users": [f"user_{hex(1)}"]}),
        ],
        "logs": [
            a_line(71, 0, 51, 1, "one"), a_line(71, 1, 51, 2, "two"), a_line(71, 2, 51, 3, ""),
            a_line(71, 3, 51, 4, "four"), a_line(72, 0, 52, 1, "other"), a_line(73, 0, 51, 5, "five"),
            a_line(73, 1, 51, 6, "six"),
        ],
        "results": [
            {"_id": f"result_{hex(81)}", "digitalTwinRef": f"twin_{hex(11)}",
             "executionRef": f"execution_{hex(41)}", **owned, "title": "All of it", "description": "Both files.",
             "tags": ["demo"], "output": [f"output_{hex(61)}", f"output_{hex(62)}"], "revision": 1, **made},
        ],
        "workflows": [
            {"_id": f"workflow_{hex(900)}", "ownerRef": f"user_{hex(1)}", "public": False, "name": "hello",
             "description": None, "tags": [], "steps": [a_workflow_step(0), a_workflow_step(1, dependsOn=["0"])],
             "component_versions": [release(31), release(31)], "revision": 1, **made},
        ],
    }  # fmt: skip


def a_workflow_step(number: int, **other: Any) -> Row:
    return {
        "key": str(number), "component_version": release(31), "type": "ephemeral", "parameters": "{}", "ports": [],
        "inputs": None, "dependsOn": [],
    } | other  # fmt: skip


def a_step(number: int, **other: Any) -> Row:
    return {
        "_id": f"step_{hex(number)}", "executionRef": f"execution_{hex(41)}", "component_version": release(31),
        "ownerRef": f"user_{hex(1)}", "public": True, "readerRefs": [], "type": "ephemeral",
        "parameters": '{"COUNT": 5}', "ports": ["8501:8501"], "inputs": "{}",
        "used": None, "used_truncated": False, "reusedFrom": None,
        "status": "SUCCEEDED",
        "code": [{"repository": "https://github.com/example/component-21", "path": None, "commit": COMMIT}],
        "attempt": 1, "worker": None, "claimed_by": None, "claimants": [], "runners": [], "borrowers": [],
        "leaseExpiresAt": None,
        "availableAt": None, "handed_back": 0, "left_by": [], "earlier_workers": [], "claimed_again": False,
        "log_base": 0, "log_end": 0, "log_late": 0, "reports": 0, "created_at": DAY, "start_timestamp": DAY,
        "end_timestamp": DAY + timedelta(minutes=1), "error": None,
    } | other  # fmt: skip


def an_output(number: int, kind: str, access: Row) -> Row:
    return {
        "_id": f"output_{hex(number)}", "stepRef": f"step_{hex(51)}", "ownerRef": f"user_{hex(1)}",
        "output_type": kind, "file_name": f"odtp-{kind}.zip", "file_size": 1234, "file_type": "application/zip",
        "readerRefs": [], "runners": [], "borrowers": [], "attempt": 0, "generation": None, "sha256": None,
        "s3_bucket": "odtp", "s3_key": f"odtp/{hex(51)}/odtp-{kind}.zip",
        "metadata": '{"description": "An output", "tags": ["a"], "other_info": '
                    f'{{"at": "2024-05-06T07:08:09.123Z", "by": "{hex(1)}"}}}}',
        "access_control": access, "created_at": DAY, "updated_at": NEXT_DAY, "revision": 1,
    }  # fmt: skip


def a_line(page: int, place: int, step: int, sequence: int, message: str) -> Row:
    return {
        "_id": f"log_{hex(page)}_{place}", "activityRef": f"step_{hex(step)}", "attempt": 1, "sequence": sequence,
        "timestamp": DAY, "type": "INFO", "logstring": message,
    }  # fmt: skip


async def test_an_imported_row_has_the_shape_of_one_that_was_inserted(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())

    for name, rows in (await everything(database)).items():
        document = documents.by_kind(rows[0]["_id"])
        assert document is not None
        await database[name].delete_one({"_id": rows[0]["_id"]})
        await document.model_validate(rows[0]).insert()
        inserted = await stored_row(database, name, rows[0]["_id"])
        if name == "logs":
            # Lines that came in their turn, which may be millions, do not say so.
            assert inserted.pop("late") is None
        assert inserted == rows[0]
        assert list(inserted) == list(rows[0])


async def test_the_summary_counts_every_row_once(database: Database, source: Database) -> None:
    summary = await import_source(source, odtp.a_chain())

    assert summary.taken == {
        "users": 1, "digitalTwins": 1, "components": 1, "versions": 1, "executions": 1, "steps": 2, "outputs": 2,
        "logs": 7, "results": 1, "workflows": 1,
    }  # fmt: skip
    assert +summary.already == {}
    assert summary.refused == {}
    assert [note.reason for note in summary.adjustments] == [
        'Parameter COUNT has the datatype "int"; read as integer.',
        "Values given with secret TOKEN may reveal it and are not stored.",
        f"ODTP names no owner; imported as a private workflow of user_{hex(1)}, who alone ran it.",
        "The field secrets has no place here and was left out of 2 rows.",
    ]
    assert summary.adjusted == {"versions": 1, "workflows": 1}


async def test_importing_again_makes_nothing_twice_and_changes_nothing(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    rows["users"] += [odtp.user(2, "Ada"), odtp.user(3, "Ada")]
    rows["components"].append(odtp.component(22, repoLink="https://github.com/example/component-21.git/"))
    rows["versions"].append(odtp.version(32, 22, "v9"))
    await import_source(source, rows)
    before = await everything(database)

    summary = await import_source(source)

    assert await everything(database) == before
    assert +summary.taken == {}
    assert summary.already == {
        "users": 3, "digitalTwins": 1, "components": 2, "versions": 2, "executions": 1, "steps": 2, "outputs": 2,
        "logs": 7, "results": 1, "workflows": 1,
    }  # fmt: skip
    assert summary.refused == {}


async def test_what_was_changed_here_stays_changed(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())
    await database["digitalTwins"].update_one({}, {"$set": {"name": "Renamed here"}})

    await import_source(source)

    assert (await stored_row(database, "digitalTwins", f"twin_{hex(11)}"))["name"] == "Renamed here"


@pytest.mark.parametrize("written", ["digitalTwins", "versions", "steps", "outputs", "logs"])
async def test_an_import_that_stopped_is_completed_by_the_next(
    database: Database, source: Database, written: str
) -> None:
    await import_source(source, odtp.a_chain())
    whole = await everything(database)
    for name in TAKEN:
        await database[name].delete_many({})

    class Stopped(Exception):
        pass

    def stop(collection: str, done: int, total: int) -> None:
        if collection == written and done:
            raise Stopped

    with pytest.raises(Stopped):
        await import_odtp(source, stop)
    halfway = await everything(database)
    for name, rows in halfway.items():
        assert all(one["_id"] in {whole_one["_id"] for whole_one in whole[name]} for one in rows)
    assert halfway != whole
    await import_source(source)

    assert await everything(database) == whole


async def test_no_value_of_a_secret_is_kept_anywhere(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())

    kept = json.dumps(await everything(database), default=str)
    assert "TOKEN" in kept
    assert "s3cr3t" not in kept
    assert "token.enc" not in kept


async def test_many_lines_are_numbered_over_batches_and_progress_reaches_the_end(
    database: Database, source: Database
) -> None:
    rows = odtp.a_chain()
    rows["logs"] = [odtp.page(1000 + number, 51, "\n".join("abcdefg")) for number in range(350)]
    await fill(source, rows)
    told: dict[str, list[tuple[int, int]]] = {}
    await import_odtp(source, lambda name, done, total: told.setdefault(name, []).append((done, total)))

    lines = await database["logs"].find(sort=[("sequence", 1)]).to_list()
    assert [line["sequence"] for line in lines] == list(range(1, 2451))
    assert "".join(line["logstring"] for line in lines) == "abcdefg" * 350
    assert told["logs"] == [(0, 350), (100, 350), (200, 350), (300, 350), (350, 350)]
    assert {name: steps[-1] for name, steps in told.items() if name != "logs"} == {
        "users": (1, 1), "digitalTwins": (1, 1), "components": (1, 1), "versions": (1, 1), "executions": (1, 1),
        "steps": (2, 2), "outputs": (2, 2), "results": (1, 1), "workflows": (1, 1),
    }  # fmt: skip


async def test_the_source_is_only_read(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    await fill(source, rows)
    before = {name: await source[name].find().to_list() for name in await source.list_collection_names()}

    await import_source(source)

    assert {name: await source[name].find().to_list() for name in await source.list_collection_names()} == before


async def test_a_database_of_something_else_is_refused(database: Database, source: Database) -> None:
    await source["films"].insert_one({})

    with pytest.raises(NotOdtpError, match="has none of the collections of ODTP"):
        await import_source(source)


CHAIN = """
{ users { nodes { displayName digitalTwins { nodes { name executions { nodes { title status
    steps { nodes { key status parameters componentVersion { version component { repoLink latestVersion { version } } }
      dependsOn { key } dependents { key } outputs { nodes { key type } }
      logs(first: 2) { nodes { sequence message } } } }
    results { nodes { title outputs { nodes { fileName } } } } } } } } } } }
"""


async def test_a_client_walks_the_imported_chain_and_sees_what_is_public(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())

    found = await ask(CHAIN)

    released = {"version": "v0.1.8", "component": {
        "repoLink": "https://github.com/example/component-21", "latestVersion": {"version": "v0.1.8"},
    }}  # fmt: skip
    shared = {"status": "SUCCEEDED", "parameters": {"COUNT": 5}, "componentVersion": released}
    snapshot = {"key": f"odtp/{hex(51)}/odtp-snapshot.zip", "type": "SNAPSHOT"}
    first = {
        "key": "0", "dependsOn": [], "dependents": [{"key": "1"}], "outputs": {"nodes": []},
        "logs": {"nodes": [{"sequence": 1, "message": "other"}]}, **shared,
    }  # fmt: skip
    second = {
        "key": "1", "dependsOn": [{"key": "0"}], "dependents": [], "outputs": {"nodes": [snapshot]},
        "logs": {"nodes": [{"sequence": 1, "message": "one"}, {"sequence": 2, "message": "two"}]}, **shared,
    }  # fmt: skip
    results = {"nodes": [{"title": "All of it", "outputs": {"nodes": [{"fileName": "odtp-snapshot.zip"}]}}]}
    execution = {
        "title": "First try", "status": "SUCCEEDED", "steps": {"nodes": [first, second]}, "results": results,
    }  # fmt: skip
    twin = {"name": "Corsica", "executions": {"nodes": [execution]}}
    assert found == {"users": {"nodes": [{"displayName": "Ada", "digitalTwins": {"nodes": [twin]}}]}}


async def test_a_workflow_belongs_to_who_alone_ran_it(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    rows["users"].append(odtp.user(2, "Eve"))
    rows["digitalTwins"].append(odtp.twin(12, 2, "Elba"))
    rows["executions"] += [
        odtp.execution(42, 12, [], [31], workflow_id=odtp.oid(901)),
        odtp.execution(43, 11, [], [31], title="Second try", workflow_id=hex(901)),
        odtp.execution(44, 12, [], [31], title="Third try", workflow_id=hex(404)),
    ]
    rows["workflows"] += [
        odtp.workflow(901, [31], name="of both"), odtp.workflow(902, [31], name="of nobody", deprecated=True),
        odtp.workflow(903, [31]), odtp.workflow(904, [31, 404]), odtp.workflow(905, []),
        odtp.workflow(906, [31], versions=["abc"]),
    ]  # fmt: skip

    summary = await import_source(source, rows)

    kept = await database["workflows"].find(sort=[("_id", 1)]).to_list()
    assert [(row["name"], row["ownerRef"], row["public"], row["tags"]) for row in kept] == [
        ("hello", f"user_{hex(1)}", False, []),
        ("of both", None, False, []),
        ("of nobody", None, False, ["deprecated"]),
        ("hello", None, False, []),
    ]
    executions = await database["executions"].find(sort=[("_id", 1)]).to_list()
    workflows = [f"workflow_{hex(number)}" for number in (900, 901, 901)]
    assert [row["workflowRef"] for row in executions] == [*workflows, None]
    assert [(note.id, note.reason) for note in summary.refusals] == [
        (hex(904), f"Its versions refer to the version {hex(404)}, which is not here."),
        (hex(905), "It has 0 versions; a workflow has 1 to 1000."),
        (hex(906), 'Its versions contain "abc", which is not a reference.'),
    ]
    notes = [(note.id, note.reason) for note in summary.adjustments if note.id in (hex(44), hex(901), hex(902))]
    unowned = "only administrators see it until updateWorkflow names an owner."
    assert notes == [
        (hex(901), f"ODTP names no owner, and 2 users ran it; {unowned}"),
        (hex(902), f"ODTP names no owner, and nobody ran it; {unowned}"),
        (hex(902), "It is deprecated in ODTP; taken with the tag deprecated."),
        (hex(44), f"Its workflow_id refers to the workflow {hex(404)}, which is not here; left out."),
    ]
