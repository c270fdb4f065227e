"""Following a log while many append to it, in any order and late: each line once, however often one comes back."""

import asyncio
import random
from collections import Counter
from contextlib import aclosing
from typing import Any

import pytest

import documents
from documents.base import now
from documents.mongo.transaction import in_transaction
from graph.subscription import LOGS
from resolvers.activities import subscriptions
from resolvers.activities.change_stream import ChangeFeed
from resolvers.activities.claim import claim_activity
from resolvers.activities.lifecycle import complete_activity
from resolvers.activities.log_entry import LogLine, append_logs
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.rows import collection_of
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN
from tests.support.runs import WORKER, a_dag

LINES, AT_ONCE = 300, 7

pytestmark = pytest.mark.usefixtures("database")


async def renew() -> RequestLoader:
    """A reader who may read everything."""
    return RequestLoader(ADMIN)


async def a_claimed_step() -> str:
    """A step that WORKER holds."""
    await a_dag(a="")
    return str((await claim_activity(WORKER, worker="w", lease_seconds=600))["activity"]["_id"])


async def append(step: str, first: int, count: int) -> None:
    """Append lines whose message is their number."""
    entries = [LogLine(timestamp=now(), level="INFO", message=str(first + place)) for place in range(count)]

    async def work(session: Any) -> Any:
        return await append_logs(session, WORKER, activity_id=step, attempt=1, first_sequence=first, entries=entries)

    await in_transaction(work)


async def end(step: str) -> None:
    """Let the step succeed."""
    report: dict[str, Any] = {"id": step, "worker": "w", "attempt": 1, "outcome": "SUCCEEDED"}
    await in_transaction(lambda session: complete_activity(session, WORKER, **report))


async def followed(changes: ChangeFeed, step: str, stays: int) -> list[int]:
    """The sequences that a follower is sent, who comes back with the last cursor after so many deliveries."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        deliveries = 0
        async with aclosing(subscriptions.activity_logs(changes, renew, step, cursor, LOGS)) as told:
            async for lines in told:
                found += [row["sequence"] for row in lines.rows]
                cursor = lines.cursor
                deliveries += 1
                if deliveries == stays:
                    break
            else:
                return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers who hardly wait for lines that belong before others."""
    monkeypatch.setattr(subscriptions, "REORDER_TIMEOUT", 0.02)


@pytest.mark.usefixtures("impatient")
async def test_lines_that_are_stored_in_any_order_by_many_at_once_reach_every_follower_once() -> None:
    step, changes = await a_claimed_step(), ChangeFeed()
    batches = list(range(1, LINES, AT_ONCE))
    random.Random(13).shuffle(batches)
    followers = [asyncio.create_task(followed(changes, step, stays)) for stays in (1, 2, 5, 1_000)]

    async def write(own: list[int]) -> None:
        for first in own:
            await append(step, first, min(AT_ONCE + 2, LINES + 1 - first))

    await asyncio.gather(*(write(batches[number::4]) for number in range(4)))
    await end(step)
    seen = await asyncio.gather(*followers)

    assert [Counter(one) for one in seen] == [Counter(range(1, LINES + 1))] * 4
    assert any(one != sorted(one) for one in seen)


@pytest.mark.usefixtures("impatient")
async def test_late_lines_come_in_order_of_their_own_and_the_log_keeps_its_own(round_trips: RoundTrips) -> None:
    step, changes = await a_claimed_step(), ChangeFeed()
    await append(step, 1, 2)
    await append(step, 9, 2)
    async with aclosing(subscriptions.activity_logs(changes, renew, step, None, LOGS)) as told:
        early = [(await anext(told)).rows for _ in range(2)]
        await append(step, 5, 2)
        await append(step, 3, 2)
        late = await anext(told)
    await append(step, 7, 2)
    await end(step)
    again = [lines async for lines in subscriptions.activity_logs(changes, renew, step, late.cursor, LOGS)]
    whole = [lines async for lines in subscriptions.activity_logs(changes, renew, step, None, LOGS)]

    def sequences(rows: list[Any]) -> list[int]:
        return [row["sequence"] for row in rows]

    rest = [number for lines in again for number in sequences(lines.rows)]
    assert [sequences(rows) for rows in early] == [[1, 2], [9, 10]]
    assert sequences(late.rows) in ([5, 6], [3, 4, 5, 6])
    assert sequences(late.rows) + rest in ([5, 6, 3, 4, 7, 8], [3, 4, 5, 6, 7, 8])
    assert [sequences(lines.rows) for lines in whole] == [list(range(1, 11))]


@pytest.mark.usefixtures("impatient")
async def test_more_late_lines_than_one_delivery_holds_come_in_several() -> None:
    step, changes = await a_claimed_step(), ChangeFeed()
    await append(step, 901, 1)
    async with aclosing(subscriptions.activity_logs(changes, renew, step, None, LOGS)) as told:
        (first,) = (await anext(told)).rows
    cursor = f"{cursor_of(first)}~0"
    await append(step, 1, 900)
    await end(step)

    batches = [lines async for lines in subscriptions.activity_logs(changes, renew, step, cursor, LOGS)]

    assert max(len(lines.rows) for lines in batches) == subscriptions.LINE_BATCH_SIZE
    assert [row["sequence"] for lines in batches for row in lines.rows] == list(range(1, 901))


def cursor_of(row: Any) -> str:
    """The cursor of a line."""
    return subscriptions._page_request(LOGS, None).page([row]).cursor(row)


async def test_a_log_in_order_is_followed_without_a_look_for_late_lines(round_trips: RoundTrips) -> None:
    step, changes = await a_claimed_step(), ChangeFeed()
    await append(step, 1, 3)
    await end(step)

    with round_trips.counting() as seen:
        batches = [lines async for lines in subscriptions.activity_logs(changes, renew, step, None, LOGS)]

    assert [len(lines.rows) for lines in batches] == [3]
    assert [one for one in seen if one[1] == "logs"] == [("find", "logs")] * 2
    rows = await collection_of(documents.LogEntry).find({"late": {"$exists": True}}).to_list()
    assert rows == []


async def test_late_lines_are_found_by_an_index() -> None:
    step = await a_claimed_step()
    await append(step, 100, 100)
    await append(step, 1, 50)
    match = {"activityRef": step, "late": {"$gt": 10, "$lte": 50}, "sequence": {"$lte": 150}}

    found = collection_of(documents.LogEntry).find(match, sort=[("late", 1)], limit=subscriptions.LINE_BATCH_SIZE)
    explained = await found.explain()

    assert explained["executionStats"]["totalDocsExamined"] == explained["executionStats"]["nReturned"] == 40
    assert "SORT" not in str(explained["queryPlanner"]["winningPlan"])


async def test_a_repeat_of_lines_that_are_there_makes_none_of_them_late() -> None:
    step = await a_claimed_step()
    await append(step, 1, 5)

    await append(step, 4, 5)

    rows = await collection_of(documents.LogEntry).find({}, sort=[("sequence", 1)]).to_list()
    assert [(row["sequence"], row.get("late")) for row in rows] == [(number, None) for number in range(1, 9)]


@pytest.mark.usefixtures("impatient")
async def test_late_lines_that_no_majority_keeps_yet_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    step, changes = await a_claimed_step(), ChangeFeed()
    await append(step, 1, 2)
    await append(step, 5, 2)
    async with aclosing(subscriptions.activity_logs(changes, renew, step, None, LOGS)) as told:
        early = [await anext(told) for _ in range(2)]
    await append(step, 3, 2)
    await end(step)
    kept, looks = subscriptions._committed_late_lines, iter([True, True])

    async def lagging(kind: Any, activity: Any, seen: int) -> int:
        return seen if next(looks, False) else await kept(kind, activity, seen)

    monkeypatch.setattr(subscriptions, "_committed_late_lines", lagging)
    monkeypatch.setattr(subscriptions, "POLL_INTERVAL", 0.05)
    rest = [lines async for lines in subscriptions.activity_logs(changes, renew, step, early[-1].cursor, LOGS)]

    assert [[row["sequence"] for row in lines.rows] for lines in [*early, *rest]] == [[1, 2], [5, 6], [3, 4]]
    assert next(looks, None) is None
