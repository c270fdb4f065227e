"""Every mutation is applied once or not at all, whatever happens between the server and its database.

Each write of each mutation, its commit too, fails in every way there is: refused by the database before it is executed,
and executed with the reply lost. What the same call does undisturbed, once and twice, is what it is compared with.
"""

import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from structlog.testing import capture_logs

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, make_client, open_database
from graph.app import create_app
from graph.context import MakeContext
from graph.limits import REQUEST_TIMEOUT
from graph.schema import schema
from graph.settings import Settings
from resolvers.access.authentication import Authenticator
from resolvers.reads.answer_budget import AnswerLimits
from resolvers.storage import verify_upload
from resolvers.writes import idempotency
from tests.graph.http.test_storage_events import always, listening
from tests.journeys.access_inputs import mutations
from tests.journeys.granted import GRANTED, Row, Working, asking
from tests.support.builders import everything_kept, keep, restore_rows, rows_kept
from tests.support.clock import Clock
from tests.support.patience import until_awaited, within
from tests.support.running import ADMIN_TOKEN, PLAIN
from tests.support.unreliable import READS, WRITES, Fault, Heard, Unreliable

ALL_FAULTS = os.environ.get("FAULTS") == "all"
"""Whether each command meets each fault; else each write meets one, in turns, and each commit some."""
NAMES = [name for name, _ in mutations()]
REPEATABLE = {"extendLease", "releaseActivity", "completeActivity", "appendLogs"}
"""Mutations that are idempotent without a key: a repeat changes nothing, and gets the same answer."""
KEYED = [(name, {"idempotencyKey": "a key"}) for name in NAMES]
CALLS = [*KEYED, *((name, {}) for name in sorted(REPEATABLE | {"claimActivity"}))]
"""Each mutation under a key, and what workers call without one."""

Rows = dict[str, list[dict[str, Any]]]

LASTING = Fault("an error that lasts", {"errorCode": 96})
ERRORS = [
    Fault("cut before it arrives", {"closeConnection": True}),
    Fault("the server stops", {"errorCode": 11600}),
    Fault("the server is shutting down", {"errorCode": 91}),
    Fault("the primary stepped down", {"errorCode": 189}),
    Fault("a write conflict", {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}),
    Fault("the transaction is gone", {"errorCode": 251, "errorLabels": ["TransientTransactionError"]}),
    LASTING,
]
LOST = Fault("the reply is lost", lost=True)
OUTAGES = [
    Fault("cut off before it arrives", lasting=True),
    Fault("cut off before the reply", lost=True, lasting=True),
]
KILLED = Fault("its session was killed", {"errorCode": 11601})
UNSURE = [
    Fault("applied, not by a majority yet", {"writeConcernError": {"code": 91, "errmsg": "x"}}),
    Fault("applied, the majority is slow", {"writeConcernError": {"code": 64, "errmsg": "x"}}),
]


class Answer(NamedTuple):
    """The response that a client received."""

    text: str
    payload: Any
    """None when the request failed."""

    @property
    def granted(self) -> bool:
        return self.payload is not None and not self.payload["userErrors"]


class Beginning(NamedTuple):
    """The world in which each test begins, and every row of it."""

    working: Working
    rows: Rows


class Lab:
    """A server whose database is reached by an unreliable way, and what is kept there."""

    def __init__(self, way: Unreliable, name: str, http: httpx2.AsyncClient, beginning: Beginning) -> None:
        self.way = way
        self._database = way.admin[name]
        self._http = http
        self.working, self.begun = beginning

    async def call(self, mutation: str, given: dict[str, Any]) -> Answer:
        """The answer to a mutation."""
        body = {"query": asking(mutation), "variables": {"input": given}}
        response = await self._http.post("/graphql", json=body)
        data = response.json().get("data")
        return Answer(response.text, data and data[mutation])

    async def mend(self) -> int:
        """Let everything through again, and wait until the server answers; returns how often something failed."""
        happened = await self.way.mend()
        await until_awaited(self._is_answered)
        return happened

    async def _is_answered(self) -> bool:
        response = await self._http.post("/graphql", json={"query": "{ organisations(first: 1) { nodes { id } } }"})
        return "errors" not in response.json()

    async def everything(self) -> Rows:
        """Every row there is, by collection, by way of a connection that is in order."""
        return await everything_kept(self._database)

    async def current_rows(self) -> Rows:
        """Every row there is. A collection to which nothing was written is the one of the beginning."""
        # To read what has not changed would take more time than the call, and `everything` is asked in the end.
        written = self.begun.keys() & self.way.written
        return self.begun | (await rows_kept(self._database, sorted(written)) if written else {})

    async def begin_again(self, now: Rows) -> None:
        """Make everything as it was at the beginning of the test, from what it is now."""
        self.way.written.clear()
        for name, begun in self.begun.items():
            if now[name] is not begun:
                await restore_rows(self._database[name], begun, now[name])


@pytest.fixture(scope="module")
async def way(fast_directory: Path) -> AsyncIterator[tuple[Unreliable, Client]]:
    """An unreliable way to a database server of its own, and the client that takes it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        EmbeddedMongo.start(fast_directory / "once", test_commands=True) as embedded,
    ):
        # The driver looks for a server that it lost twice a second at most, and here it loses it thousands of times.
        patch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 0.01)
        admin = make_client(embedded.uri)
        way = Unreliable(embedded.port, admin)
        async with way.serving() as port:
            uri = embedded.uri.replace(f":{embedded.port}/", f":{port}/").replace("replicaSet=provenance&", "")
            # A lost server is looked for as soon as it is needed. To be listened to, it would have to be there.
            client = make_client(f"{uri}&directConnection=true", timeoutMS=10_000, serverMonitoringMode="poll")
            await client.aconnect()
            await open_database(client["once"])
            yield way, client
            await client.close()
        await admin.close()


@pytest.fixture(scope="module")
async def beginning(way: tuple[Unreliable, Client]) -> Beginning:
    """A world where things run, kept in the database of the module, which has nothing else in it."""
    _, client = way
    await open_database(client["once"], indexes=False)
    working = Working()
    await keep(*working.world.kept)
    return Beginning(working, await everything_kept(client["once"]))


@pytest.fixture
async def lab(way: tuple[Unreliable, Client], beginning: Beginning) -> AsyncIterator[Lab]:
    """A server of the whole application, in whose database everything is as at the beginning."""
    unreliable, client = way
    await open_database(client["once"], indexes=False)
    app = create_app(
        schema=schema,
        settings=Settings.model_construct(),
        make_context=MakeContext(Authenticator(admin_token=ADMIN_TOKEN), AnswerLimits(10_000), AnswerLimits(10_000)),
        ready=always,
    )
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    async with (
        listening(app) as address,
        httpx2.AsyncClient(**PLAIN, base_url=address, headers=headers, timeout=within()) as http,
    ):
        # Left to itself the log takes seconds to draw the traceback of each failure.
        with capture_logs():
            lab = Lab(unreliable, "once", http, beginning)
            await lab.begin_again(await lab.everything())
            yield lab


class Undisturbed(NamedTuple):
    """The commands and effects of a call when nothing fails."""

    commands: list[Heard]
    once: tuple[str, Any]
    """The answer and the changes, in the form of `steady` and `effect`."""
    twice: tuple[str, Any]


def rows_of(mutation: str) -> dict[str, Row]:
    """The inputs that are granted."""
    assert mutation in GRANTED, f"Say in tests/journeys/granted.py which input of {mutation} is granted."
    return GRANTED[mutation]


@pytest.mark.timeout(within(900 if ALL_FAULTS else 240))
@pytest.mark.parametrize(("mutation", "key"), CALLS)
async def test_whatever_fails_a_mutation_is_applied_once_or_not_at_all(
    lab: Lab, mutation: str, key: dict[str, str]
) -> None:
    for row in rows_of(mutation).values():
        given = lab.working.input(mutation, row) | key
        undisturbed = await watched(lab, mutation, given)
        for number, among, fault in faults(mutation, undisturbed.commands):
            lab.way.fail(number, fault, among)
            answer = await lab.call(mutation, given)
            assert await lab.mend(), f"{fault.name} did not happen to write {number}"
            story = f"{mutation}: {fault.name}, at {number} of {undisturbed.commands}: {answer.text}"
            await check(lab, mutation, given, answer, undisturbed, story)
        assert await lab.everything() == lab.begun


@pytest.mark.timeout(within(900 if ALL_FAULTS else 240))
@pytest.mark.parametrize(
    ("mutation", "key"),
    [one for one in CALLS if ALL_FAULTS or one[0] in ("createExecution", "claimActivity", "completeActivity")],
)
async def test_after_an_outage_a_mutation_was_applied_once_or_not_at_all(
    lab: Lab, mutation: str, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in rows_of(mutation).values() if ALL_FAULTS else [next(iter(rows_of(mutation).values()))]:
        given = lab.working.input(mutation, row) | key
        undisturbed = await watched(lab, mutation, given)
        writes = [number for number, _ in enumerate(one for one in undisturbed.commands if one.writes)]
        for number in writes if ALL_FAULTS else writes[-1:]:
            for fault in OUTAGES:
                lab.way.fail(number, fault)
                with monkeypatch.context() as patch:
                    patch.setattr("graph.http.graphql.REQUEST_TIMEOUT", 0.5)
                    answer = await lab.call(mutation, given)
                assert await lab.mend()
                story = f"{mutation}: {fault.name}, at write {number} of {undisturbed.commands}: {answer.text}"
                assert not answer.granted, story
                await check(lab, mutation, given, answer, undisturbed, story)
        assert await lab.everything() == lab.begun


async def test_a_refused_call_frees_its_key_although_an_operator_kills_its_session(lab: Lab) -> None:
    (row, *_) = rows_of("updateDigitalTwin").values()
    given = lab.working.input("updateDigitalTwin", row) | {"expectedRevision": 99, "idempotencyKey": "a key"}
    commands = lab.way.listen()
    first = await lab.call("updateDigitalTwin", given)
    writes = [command.command for command in commands if command.writes]

    lab.way.fail(writes.index("delete"), KILLED)
    again = [await lab.call("updateDigitalTwin", given)]
    assert await lab.mend()
    again.append(await lab.call("updateDigitalTwin", given))

    assert [error["code"] for error in first.payload["userErrors"]] == ["REVISION_CONFLICT"]
    assert [answer.payload["userErrors"] for answer in again] == [first.payload["userErrors"]] * 2


async def test_a_claim_without_a_key_whose_answer_was_lost_is_claimed_again_once_its_lease_has_expired(
    lab: Lab, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids_of = lab.working.ids
    given = lab.working.input("claimActivity", GRANTED["claimActivity"]["the first step"])
    step = ids_of["waiting 0"]
    undisturbed = await watched(lab, "claimActivity", given)

    lab.way.fail(sum(one.writes for one in undisturbed.commands) - 1, OUTAGES[1])
    with monkeypatch.context() as patch:
        patch.setattr("graph.http.graphql.REQUEST_TIMEOUT", 0.5)
        lost = await lab.call("claimActivity", given)
    await lab.mend()
    another = await lab.call("claimActivity", given)
    clock.forward(given["leaseSeconds"] + 1)
    again = await lab.call("claimActivity", given)

    (row,) = (one for one in (await lab.current_rows())["steps"] if one["_id"] == step)
    assert (lost.granted, ids(another), ids(again)) == (False, [ids_of["waiting 1"]], [step])
    assert (row["status"], row["attempt"]) == ("RUNNING", 2)


def test_who_has_to_wait_for_another_call_is_told_so_while_there_is_time() -> None:
    assert max(idempotency.WAIT_TIMEOUT, verify_upload.VERIFY_TIMEOUT) < REQUEST_TIMEOUT - 3


async def watched(lab: Lab, mutation: str, given: dict[str, Any]) -> Undisturbed:
    """Call a mutation once and twice while nothing fails; returns the commands and effects."""
    heard = lab.way.listen()
    first = await lab.call(mutation, given)
    commands = list(heard)
    assert first.granted, first.text
    once = steady(first), effect(lab.begun, await lab.current_rows())
    second = await lab.call(mutation, given)
    kept = await lab.current_rows()
    twice = steady(second), effect(lab.begun, kept)
    if "idempotencyKey" in given or mutation in REPEATABLE:
        assert (twice[1], ids(second)) == (once[1], ids(first))
    assert any(once[1].values())
    await lab.begin_again(kept)
    return Undisturbed(commands, once, twice)


async def check(
    lab: Lab, mutation: str, given: dict[str, Any], answer: Answer, undisturbed: Undisturbed, story: str
) -> None:
    """All or nothing was done, the client was told nothing internal, and may say it again. Then begin again."""
    done = effect(lab.begun, await lab.current_rows())
    if answer.granted:
        assert (steady(answer), done) == undisturbed.once, story
    else:
        refused_cleanly(answer, story)
        assert done == undisturbed.once[1] or not any(done.values()), story

    again = await lab.call(mutation, given)

    wanted = undisturbed.twice if any(done.values()) else undisturbed.once
    kept = await lab.current_rows()
    assert (steady(again), effect(lab.begun, kept)) == wanted, f"{story}\nand again: {again.text}"
    if answer.granted and "idempotencyKey" in given:
        assert ids(again) == ids(answer), story
    await lab.begin_again(kept)


def faults(mutation: str, commands: list[Heard]) -> Iterator[tuple[int, frozenset[str], Fault]]:
    """The fault of each command."""
    writes = [one for one in commands if one.writes]
    for number, write in enumerate(writes):
        commits = write.command == "commitTransaction"
        # A server that fails to commit lets go of the transaction, which one that was told to fail does not.
        possible = [LOST, *(fault for fault in ERRORS if not (commits and fault is LASTING))]
        if not ALL_FAULTS:
            turn = len(mutation) + number
            possible = [
                *([LOST] if commits or turn % 2 else []),
                *([ERRORS[turn % 6]] if commits or not turn % 2 else []),
            ]
        unsure = UNSURE if commits or not write.in_transaction else []
        yield from ((number, WRITES, fault) for fault in (*possible, *unsure))
    if ALL_FAULTS:
        for number in range(len(commands) - len(writes)):
            yield from ((number, READS, fault) for fault in (*ERRORS, LOST))


def effect(before: Rows, after: Rows) -> dict[str, Counter[str]]:
    """The rows that were inserted, changed and deleted, without values that differ between calls: times and new ids."""
    known = {row["_id"] for rows in before.values() for row in rows}
    changes: dict[str, Counter[str]] = {}
    for name in before:
        if after[name] is before[name]:
            changes[name] = Counter()
            continue
        old, new = ({row["_id"]: told(row) for row in rows[name] if not unused(row)} for rows in (before, after))
        made = [json.dumps(row, default=written, sort_keys=True) for id, row in new.items() if row != old.get(id)]
        gone = [f"{id} is gone" for id in old if id not in new]
        changes[name] = Counter(without_new_ids(text, known) for text in [*made, *gone])
    return changes


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is another each time, or counts repeats as well: numbers of late lines may be left out."""
    return {
        name: value for name, value in row.items() if name not in ("reports", "log_late", "holder", "keyHash", "hash")
    }


def unused(row: dict[str, Any]) -> bool:
    """Whether this is a key that was reserved, and under which nothing was done."""
    return row["_id"].startswith("reservation_") and row["outcome"] is None


def written(value: Any) -> str:
    return "a time" if isinstance(value, datetime) else str(value)


def without_new_ids(text: str, known: set[str]) -> str:
    return re.sub(r"[a-z]+_[0-9a-f]{24}", lambda id: id[0] if id[0] in known else "a new id", text)


def steady(answer: Answer) -> str:
    """An answer without what differs between two calls."""
    text = re.sub(r'"url": ?"[^"]*signature[^"]*"', "a signed URL", answer.text)
    text = re.sub(r'"pgi?_[^"]+"', "a key", text)
    text = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*Z"', "a time", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "a minute", text)
    return re.sub(r"[a-z]+_[0-9a-f]{24}", "an id", text)


def ids(answer: Answer) -> list[str]:
    """The ids in an answer."""
    return re.findall(r"[a-z]+_[0-9a-f]{24}", answer.text)


def refused_cleanly(answer: Answer, story: str) -> None:
    """Assert that the answer reveals nothing internal."""
    if answer.payload is None:
        (error,) = json.loads(answer.text)["errors"]
        outage = {"INTERNAL_SERVER_ERROR"} if LASTING.name in story else {"UNAVAILABLE", "TIMEOUT"}
        assert error["extensions"]["code"] in outage, story
    assert not re.search(r"127\.0\.0\.1|mongo|fail|Traceback|errmsg|socket", answer.text), story
