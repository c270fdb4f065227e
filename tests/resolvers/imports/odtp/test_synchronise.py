"""Importing an ODTP database again: what changed there is taken over, what changed here stays, and rights narrow."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

import documents
from documents.mongo.database import Client, Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.imports.odtp import collection_import
from resolvers.imports.odtp.imported_rows import imported_states
from resolvers.imports.odtp.synchronised_fields import merge
from resolvers.imports.summary import Summary
from resolvers.twins import twin_rights
from tests.support import odtp_shapes as odtp
from tests.support.asking import WORKER, ask
from tests.support.odtp_shapes import DAY, Row, hex, oid
from tests.support.odtp_source import everything, import_source, odtp_source, reasons, release, stored_row

OWNER = Viewer(Role.USER, f"user_{hex(1)}")
TWIN, EXECUTION, STEP = f"twin_{hex(11)}", f"execution_{hex(41)}", f"step_{hex(52)}"


@pytest.fixture
async def source(client: Client) -> AsyncIterator[Database]:
    """An empty database for ODTP's rows."""
    async with odtp_source(client) as source:
        yield source


async def change(source: Database, collection: str, number: int, **values: Any) -> None:
    """Change a row as ODTP does."""
    changed = await source[collection].update_one({"_id": oid(number)}, {"$set": values})
    assert changed.matched_count == 1


def what_happened(summary: Summary) -> dict[str, dict[str, int]]:
    counts = {"taken": summary.taken, "updated": summary.updated, "kept": summary.kept, "gone": summary.gone}
    return {outcome: dict(+count) for outcome, count in counts.items() if +count}


async def mutate(mutation: str, viewer: Viewer = OWNER, **input: Any) -> None:
    """A change that somebody makes here."""
    name = f"{mutation[0].upper()}{mutation[1:]}Input!"
    query = f"mutation($input: {name}) {{ done: {mutation}(input: $input) {{ userErrors {{ message }} }} }}"
    assert (await ask(query, viewer, input=input))["done"]["userErrors"] == []


async def test_what_changed_there_is_taken_over_and_said(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())
    before = await everything(database)
    await change(source, "users", 1, displayName="Ada L.", email="ada@example.org", github=None)
    await change(source, "digitalTwins", 11, name="Sardinia", status="done")
    await change(source, "components", 21, description="Says goodbye.", tags=["demo", "new"], deprecated=True)
    await change(source, "versions", 31, deprecated=True)
    await change(source, "executions", 41, title="Second try", description="Again", deprecated=True)
    await change(source, "steps", 52, parameters={"COUNT": 6}, ports=["8502:8501"])
    await change(source, "outputs", 62, file_size=4321, metadata={"a": 1})
    await change(source, "results", 81, title="Half of it", output=[oid(61)])
    await change(source, "workflows", 900, name="goodbye", versions=[hex(31)], deprecated=True)

    summary = await import_source(source)

    after = await everything(database)
    changes = {
        row["_id"]: {name: value for name, value in row.items() if name not in STAMPS and value != earlier[name]}
        for collection, rows in after.items()
        for row, earlier in zip(rows, before[collection], strict=True)
        if row != earlier
    }
    assert changes == {
        f"user_{hex(1)}": {"displayName": "Ada L.", "email": "ada@example.org", "github": None},
        TWIN: {"name": "Sardinia", "status": "done"},
        f"component_{hex(21)}": {
            "description": "Says goodbye.", "tags": ["demo", "new"], "status": "deprecated", "latestVersionRef": None
        },
        release(31): {"deprecated": True},
        EXECUTION: {"title": "Second try", "description": "Again", "tags": ["deprecated"]},
        STEP: {"parameters": '{"COUNT": 6}', "ports": ["8502:8501"]},
        f"output_{hex(62)}": {"file_size": 4321, "metadata": '{"a": 1}'},
        f"result_{hex(81)}": {"title": "Half of it", "output": [f"output_{hex(61)}"]},
        f"workflow_{hex(900)}": {
            "name": "goodbye", "tags": ["deprecated"], "component_versions": [release(31)],
            "steps": before["workflows"][0]["steps"][:1],
        },
    }  # fmt: skip
    assert what_happened(summary) == {
        "updated": {
            "users": 1, "digitalTwins": 1, "components": 1, "versions": 1, "executions": 1, "steps": 1, "outputs": 1,
            "results": 1, "workflows": 1,
        }
    }  # fmt: skip
    assert reasons(summary.updates, "digitalTwins", 11) == [
        'name was "Corsica"; it is "Sardinia" now, as in ODTP.',
        'status was "active"; it is "done" now, as in ODTP.',
    ]
    assert +summary.already == {"steps": 1, "outputs": 1, "logs": 7}
    assert after["executions"][0]["revision"] == 2
    assert after["executions"][0]["updated_at"] > before["executions"][0]["updated_at"]
    assert what_happened(await import_source(source)) == {}
    assert await everything(database) == after


STAMPS = ("updated_at", "revision")


async def test_an_execution_that_runs_on_in_odtp_runs_on_here(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    waiting = {"start_timestamp": None, "end_timestamp": None}
    rows["executions"][0] |= waiting
    rows["steps"] = [row | waiting | {"run_step": True} for row in rows["steps"]]
    rows |= {"outputs": [], "results": [], "logs": []}
    await import_source(source, rows)
    asked = """{ executions { nodes { status startTimestamp endTimestamp
      steps { nodes { key status attempt error { code message } logs { nodes { message } } } } } } }"""

    async def stands() -> Any:
        (execution,) = (await ask(asked))["executions"]["nodes"]
        steps = execution["steps"]["nodes"]
        assert [step["key"] for step in steps] == ["0", "1"]
        return execution["status"], [step["status"] for step in steps], steps[0]["error"]

    assert await stands() == ("PENDING", ["PENDING", "PENDING"], None)
    await change(source, "executions", 41, start_timestamp=DAY)
    await change(source, "steps", 52, start_timestamp=DAY, run_step=False)
    await import_source(source)
    assert await stands() == ("RUNNING", ["RUNNING", "PENDING"], None)
    await change(source, "steps", 52, end_timestamp=DAY + timedelta(minutes=1), error=True, msg="No space left")
    await import_source(source)
    failed = {"code": "ODTP_STEP_FAILED", "message": "No space left"}
    assert await stands() == ("FAILED", ["FAILED", "CANCELLED"], failed)
    await change(source, "steps", 52, error=False, msg=None)
    await change(source, "steps", 51, start_timestamp=DAY, end_timestamp=DAY + timedelta(minutes=2), run_step=False)
    await change(source, "executions", 41, end_timestamp=DAY + timedelta(minutes=2))
    await import_source(source, {"outputs": [odtp.output(63, 52)], "logs": [odtp.page(74, 52, "done")]})
    assert await stands() == ("SUCCEEDED", ["SUCCEEDED", "SUCCEEDED"], None)
    (execution,) = (await ask(asked))["executions"]["nodes"]
    assert execution["endTimestamp"] == "2024-05-06T07:10:09.123Z"
    assert [step["attempt"] for step in execution["steps"]["nodes"]] == [1, 1]
    assert execution["steps"]["nodes"][0]["logs"]["nodes"] == [{"message": "done"}]


SEEN = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
FOLLOWING = [TWIN, EXECUTION, STEP, f"result_{hex(81)}", f"output_{hex(62)}"]


async def seen(viewer: Viewer = ANONYMOUS) -> list[bool]:
    """Whether the viewer sees the twin, and each of the documents below it."""
    return [node is not None for node in (await ask(SEEN, viewer, ids=FOLLOWING))["nodes"]]


@pytest.mark.parametrize("hiding", [{"deprecated": True}, {"public": False}])
async def test_what_is_hidden_in_odtp_is_hidden_here_with_all_that_follows_it(
    database: Database, source: Database, hiding: dict[str, bool]
) -> None:
    await import_source(source, odtp.a_chain())
    assert await seen() == [True] * 5
    await change(source, "digitalTwins", 11, **hiding)
    await change(source, "outputs", 62, access_control={"public": False, "authorized_users": [None]})

    summary = await import_source(source)

    assert await seen() == [False] * 5
    assert await seen(OWNER) == [True] * 5
    assert "public was true; it is false now, as in ODTP." in reasons(summary.updates, "digitalTwins", 11)
    await change(source, "digitalTwins", 11, deprecated=False, public=True)
    await import_source(source)
    assert await seen() == [True] * 4 + [False]


async def test_a_twin_that_has_another_owner_in_odtp_has_that_one_here_with_all_that_follows_it(
    database: Database, source: Database
) -> None:
    rows = odtp.a_chain()
    rows["users"].append(odtp.user(2, "Grace"))
    rows["digitalTwins"][0]["public"] = False
    await import_source(source, rows)
    await change(source, "digitalTwins", 11, userRef=hex(2))

    summary = await import_source(source)

    assert await seen(Viewer(Role.USER, f"user_{hex(2)}")) == [True] * 5
    # The output is public by itself.
    assert await seen(OWNER) == [False] * 4 + [True]
    assert (await stored_row(database, "outputs", f"output_{hex(61)}"))["ownerRef"] == f"user_{hex(2)}"
    assert what_happened(summary) == {"updated": {"digitalTwins": 1}}
    await change(source, "digitalTwins", 11, userRef=hex(1))
    await import_source(source, {"digitalTwins": [odtp.twin(12, 1, "Elba")]})
    await change(source, "digitalTwins", 12, userRef=hex(2), name="Corsica")
    await import_source(source)
    twin = await stored_row(database, "digitalTwins", f"twin_{hex(12)}")
    assert (twin["userRef"], twin["name"]) == (f"user_{hex(2)}", "Corsica")


async def test_a_twin_is_hidden_however_much_follows_it_and_published_as_far_as_can_be_done_at_once(
    database: Database, source: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await import_source(source, odtp.a_chain())
    monkeypatch.setattr(twin_rights, "MAX_WORK", 7)
    await change(source, "digitalTwins", 11, deprecated=True)
    await import_source(source)
    assert await seen() == [False] * 4 + [True]
    await change(source, "digitalTwins", 11, deprecated=False)

    summary = await import_source(source)

    assert await seen() == [False] * 4 + [True]
    assert "to change them all at once" in reasons(summary.refusals, "digitalTwins", 11)[0]


async def test_what_was_changed_here_stays_and_the_rest_is_taken_over(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())
    await mutate("updateDigitalTwin", id=TWIN, name="Renamed here")
    await change(source, "digitalTwins", 11, name="Renamed there", status="done")

    summary = await import_source(source)

    twin = await stored_row(database, "digitalTwins", TWIN)
    assert (twin["name"], twin["status"]) == ("Renamed here", "done")
    assert what_happened(summary) == {"updated": {"digitalTwins": 1}, "kept": {"digitalTwins": 1}}
    kept = ['name is "Renamed here" here and "Renamed there" in ODTP; kept, because it was changed here.']
    assert reasons(summary.differences, "digitalTwins", 11) == kept
    # As long as both sides differ it is said, whether either has changed again or not.
    again = await import_source(source)
    assert (what_happened(again), reasons(again.differences, "digitalTwins", 11)) == (
        {"kept": {"digitalTwins": 1}},
        kept,
    )
    # Once both sides say the same, the next change there is taken over.
    await mutate("updateDigitalTwin", id=TWIN, name="Renamed there")
    await change(source, "digitalTwins", 11, name="Renamed again")
    await import_source(source)
    assert (await stored_row(database, "digitalTwins", TWIN))["name"] == "Renamed again"


async def test_what_was_cancelled_here_stays_cancelled_with_its_times(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    rows["executions"][0] |= {"start_timestamp": None, "end_timestamp": None}
    waiting = {"start_timestamp": None, "end_timestamp": None, "run_step": True}
    rows["steps"] = [row | waiting for row in rows["steps"]]
    await import_source(source, rows)
    await mutate("cancelExecution", id=EXECUTION)
    before = await everything(database)
    await change(source, "steps", 52, start_timestamp=DAY, end_timestamp=DAY, ports=["8502:8501"])
    await change(source, "executions", 41, start_timestamp=DAY)

    summary = await import_source(source)

    after = await everything(database)
    assert after["executions"] == before["executions"]
    assert after["steps"][1] == before["steps"][1] | {"ports": ["8502:8501"]}
    assert what_happened(summary)["kept"] == {"executions": 1, "steps": 2}


@pytest.mark.parametrize("is_remembered", [True, False])
async def test_rights_narrow_even_where_they_were_changed_here(
    database: Database, source: Database, is_remembered: bool
) -> None:
    rows = odtp.a_chain()
    rows["users"] += [odtp.user(number, f"Reader {number}") for number in (2, 3, 4)]
    readers = [hex(1), hex(2)]
    rows["outputs"][0]["access_control"] = {"public": False, "authorized_users": readers}
    rows["outputs"][1]["access_control"] = {"public": True, "authorized_users": readers}
    await import_source(source, rows)
    for output in (61, 62):
        await mutate("updateOutputAccess", id=f"output_{hex(output)}", authorizeUserIds=[f"user_{hex(3)}"])
    if not is_remembered:
        await database["imported_rows"].delete_many({})
    # One reader is taken away there, and another added; the first output is published, and the second hidden.
    await change(source, "outputs", 61, access_control={"public": True, "authorized_users": [hex(2), hex(4)]})
    await change(source, "outputs", 62, access_control={"public": False, "authorized_users": [hex(2), hex(4)]})

    summary = await import_source(source)

    # Without a record of the earlier import, the user may have been removed at the source as well.
    users = [f"user_{hex(2)}", f"user_{hex(3)}"] if is_remembered else [f"user_{hex(2)}"]
    for output in (61, 62):
        row = await stored_row(database, "outputs", f"output_{hex(output)}")
        assert row["access_control"] == {"public": False, "authorized_users": users}
    assert what_happened(summary) == {"updated": {"outputs": 2}, "kept": {"outputs": 2}}


async def test_a_twin_that_was_published_here_is_hidden_when_odtp_hides_it(
    database: Database, source: Database
) -> None:
    rows = odtp.a_chain()
    rows["digitalTwins"][0]["public"] = False
    await import_source(source, rows)
    await mutate("updateDigitalTwin", id=TWIN, public=True)

    unchanged = await import_source(source)
    still = (await stored_row(database, "digitalTwins", TWIN))["public"]
    await change(source, "digitalTwins", 11, deprecated=True)
    await import_source(source)

    assert what_happened(unchanged) == {"kept": {"digitalTwins": 1}}
    assert still is True
    assert (await stored_row(database, "digitalTwins", TWIN))["public"] is False
    assert (await stored_row(database, "steps", STEP))["public"] is False


async def test_what_an_earlier_release_imported_is_synchronised_as_far_as_it_was_not_changed_here(
    database: Database, source: Database
) -> None:
    rows = odtp.a_chain()
    rows["users"].append(odtp.user(2, "Ada"))
    rows["digitalTwins"].append(odtp.twin(12, 1, "Elba"))
    await import_source(source, rows)
    await mutate("updateDigitalTwin", id=TWIN, name="Renamed here")
    await mutate("deprecateComponentVersion", WORKER, id=release(31))
    await database["imported_rows"].delete_many({})
    await change(source, "digitalTwins", 11, name="Renamed there", public=False)
    await change(source, "digitalTwins", 12, name="Capri")
    await change(source, "users", 1, email="ada@example.org")

    summary = await import_source(source)

    twins = await database["digitalTwins"].find(sort=[("_id", 1)]).to_list()
    assert [(twin["name"], twin["public"]) for twin in twins] == [("Renamed here", False), ("Capri", True)]
    users = await database["users"].find(sort=[("_id", 1)]).to_list()
    assert [(user["displayName"], user["email"]) for user in users] == [
        ("Ada", "ada@example.org"),
        ("Ada (2)", "u2@example.org"),
    ]
    assert (await stored_row(database, "versions", release(31)))["deprecated"] is True
    assert what_happened(summary) == {
        "updated": {"digitalTwins": 2, "users": 1}, "kept": {"digitalTwins": 1, "versions": 1}
    }  # fmt: skip
    assert await database["imported_rows"].count_documents({}) == 13


async def test_a_workflow_that_was_published_here_stays_so_without_a_word(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())
    await mutate("updateWorkflow", id=f"workflow_{hex(900)}", public=True)

    assert what_happened(await import_source(source)) == {}
    assert (await stored_row(database, "workflows", f"workflow_{hex(900)}"))["public"] is True


async def test_a_new_name_that_is_taken_here_gets_a_number_once(database: Database, source: Database) -> None:
    rows = odtp.a_chain()
    rows["digitalTwins"].append(odtp.twin(12, 1, "Elba"))
    await import_source(source, rows)
    await change(source, "digitalTwins", 12, name="Corsica")

    summary = await import_source(source)
    again = await import_source(source)

    assert (await stored_row(database, "digitalTwins", f"twin_{hex(12)}"))["name"] == "Corsica (2)"
    assert reasons(summary.adjustments, "digitalTwins", 12) == ["name 'Corsica' is taken; called 'Corsica (2)'."]
    assert what_happened(again) == {}


async def test_what_is_gone_there_is_said_and_stays_here(database: Database, source: Database, client: Client) -> None:
    await import_source(source, odtp.a_chain())
    async with odtp_source(client) as other:
        await import_source(other, {"users": [odtp.user(5, "Eve")]})
        before = await everything(database)
        await source["outputs"].delete_one({"_id": oid(61)})
        await source["executions"].delete_one({"_id": oid(41)})
        await source["steps"].delete_many({})

        summary = await import_source(source)
        elsewhere = await import_source(other)

    assert await everything(database) == before
    assert what_happened(summary) == {"gone": {"outputs": 1, "executions": 1, "steps": 2}}
    assert reasons(summary.losses, "outputs", 61) == ["It was deleted in ODTP; kept here."]
    assert what_happened(elsewhere) == {}


async def test_what_is_gone_on_both_sides_is_forgotten(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())
    await source["results"].delete_many({})
    await database["results"].delete_many({})

    assert what_happened(await import_source(source)) == {}
    assert await database["imported_rows"].count_documents({"sourceCollection": "results"}) == 0


async def test_the_latest_version_is_that_of_odtp_as_versions_come_and_are_deprecated(
    database: Database, source: Database
) -> None:
    await import_source(source, odtp.a_chain())
    component = f"component_{hex(21)}"

    async def latest() -> str | None:
        found: str | None = (await stored_row(database, "components", component))["latestVersionRef"]
        return found

    await import_source(source, {"versions": [odtp.version(32, 21, "v0.2", created_at=DAY + timedelta(days=2))]})
    assert await latest() == release(32)
    await change(source, "versions", 32, deprecated=True)
    await import_source(source)
    assert await latest() == release(31)
    await change(source, "versions", 31, deprecated=True)
    await import_source(source)
    assert await latest() is None
    await change(source, "versions", 32, deprecated=False)
    await import_source(source)
    assert await latest() == release(32)


@pytest.mark.parametrize("changed", ["name", "status"])
async def test_what_changes_here_at_the_same_moment_is_not_overwritten(
    database: Database, source: Database, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    await import_source(source, odtp.a_chain())
    await change(source, "digitalTwins", 11, name="Renamed there")

    async def change_meanwhile(ids: Any) -> dict[str, Row]:
        before = await imported_states(ids)
        if TWIN in ids:
            await database["digitalTwins"].update_one({"_id": TWIN}, {"$set": {changed: "changed here"}})
        return before

    monkeypatch.setattr(collection_import, "imported_states", change_meanwhile)
    summary = await import_source(source)
    monkeypatch.undo()

    twin = await stored_row(database, "digitalTwins", TWIN)
    assert (twin["name"], twin["status"]) == (
        ("changed here", "active") if changed == "name" else ("Renamed there", "changed here")
    )
    outcome = "kept" if changed == "name" else "updated"
    assert what_happened(summary) == {outcome: {"digitalTwins": 1}}
    assert what_happened(await import_source(source)) == {"kept": {"digitalTwins": 1}}


async def test_a_row_that_can_no_longer_be_read_is_refused_and_stays_here(database: Database, source: Database) -> None:
    await import_source(source, odtp.a_chain())
    before = await everything(database)
    await change(source, "outputs", 61, s3_bucket=None)

    summary = await import_source(source)

    assert reasons(summary.refusals, "outputs", 61) == ["It has no s3_bucket."]
    assert await everything(database) == before


async def test_what_is_hidden_in_odtp_is_hidden_though_its_row_can_no_longer_be_read(
    database: Database, source: Database
) -> None:
    await import_source(source, odtp.a_chain())
    nobody = {"public": False, "authorized_users": []}
    await change(source, "digitalTwins", 11, public=False, userRef=None)
    await change(source, "outputs", 62, access_control=nobody, stepRef=None)

    summary = await import_source(source)

    assert reasons(summary.refusals, "digitalTwins", 11) == ["Its userRef refers to nothing."]
    assert len(reasons(summary.adjustments, "digitalTwins", 11)) == 1
    assert (await stored_row(database, "outputs", f"output_{hex(62)}"))["access_control"] == nobody
    for collection, id in (("digitalTwins", TWIN), ("executions", EXECUTION), ("steps", STEP)):
        assert (await stored_row(database, collection, id))["public"] is False
    assert (await import_source(source)).adjustments == []

    # A twin that is published here afterwards stays public until ODTP hides it again.
    await mutate("updateDigitalTwin", id=TWIN, public=True)
    await import_source(source)
    assert (await stored_row(database, "digitalTwins", TWIN))["public"] is True


@pytest.mark.parametrize(
    ("before", "here", "there", "public"),
    [
        (True, True, True, True),
        (True, True, False, False),
        (True, False, True, False),
        (True, False, False, False),
        (False, False, True, True),
        (False, True, False, True),
        (None, True, False, False),
        (None, False, True, False),
    ],
)
def test_a_side_that_closes_closes(before: bool | None, here: bool, there: bool, public: bool) -> None:
    def twin(is_public: bool) -> Row:
        return {"name": "a", "status": "active", "public": is_public}

    found = merge(
        documents.DigitalTwin,
        before=None if before is None else twin(before),
        here=twin(here),
        there=twin(there),
        changed_here=True,
    )

    assert found.changes.get("public", here) is public
    assert len(found.kept) == (public != there)
    assert len(found.updated) == (public != here)


def test_what_an_earlier_release_did_not_remember_is_unknown() -> None:
    here, there = {"name": "a", "status": "active", "public": True}, {"name": "b", "status": "done", "public": True}

    found = merge(documents.DigitalTwin, before={"name": "a"}, here=here, there=there, changed_here=False)
    touched = merge(documents.DigitalTwin, before={"name": "a"}, here=here, there=there, changed_here=True)

    assert found.changes == {"name": "b", "status": "done"}
    assert touched.changes == {"name": "b"}


async def test_what_changed_of_a_workflow_is_taken_over_where_it_did_not_change_here(
    database: Database, source: Database
) -> None:
    await import_source(source, odtp.a_chain())
    id = f"workflow_{hex(900)}"
    await mutate("updateWorkflow", id=id, name="Renamed here", public=True)
    await change(source, "workflows", 900, name="Renamed there", versions=[hex(31)], deprecated=True)

    summary = await import_source(source)
    again = await import_source(source)

    row = await stored_row(database, "workflows", id)
    assert (row["name"], row["public"], row["tags"]) == ("Renamed here", True, ["deprecated"])
    assert (len(row["steps"]), row["component_versions"]) == (1, [release(31)])
    assert what_happened(summary) == {"updated": {"workflows": 1}, "kept": {"workflows": 1}}
    assert again.updated == {}
