"""Appending to logs: by sequence, once, in any order."""

from typing import Any

import pytest

import documents
from documents.base import now
from resolvers.limits import MAX_LINES_OF_ALL_ATTEMPTS
from resolvers.reads.rows import collection_of
from tests.support.asking import ADMIN, ask
from tests.support.builders import everything_kept
from tests.support.clock import Clock
from tests.support.runs import WORKER, a_dag, a_worker, append, claim, complete, do, fail, refusals, state_of

pytestmark = pytest.mark.usefixtures("database")

OTHER = a_worker(2)
LINES = """query ($id: ID!, $first: Int, $after: String, $where: LogWhere) { node(id: $id) { ... on Step {
  logs(first: $first, after: $after, where: $where) { nodes { sequence level message timestamp }
  pageInfo { hasNextPage endCursor } } } } }"""


async def a_claimed_step() -> str:
    """A step that WORKER holds."""
    await a_dag(a="")
    id: str = (await claim())["id"]
    return id


async def lines(id: str) -> list[tuple[int, str]]:
    """The first thousand lines."""
    found = (await ask(LINES, ADMIN, id=id, first=1000))["node"]["logs"]
    return [(one["sequence"], one["message"]) for one in found["nodes"]]


async def test_lines_are_kept_as_they_were_written() -> None:
    step = await a_claimed_step()
    entries = [
        {"timestamp": "2024-01-02T03:04:05.678912+01:00", "message": "hello $world {a: 'b'} \\u001b[31mred"},
        {"timestamp": "2024-01-02T03:04:06Z", "level": "ERROR", "message": "ends\r\n"},
        {"timestamp": "2024-01-02T03:04:07Z", "level": "DEBUG", "message": "a\0b\nc\td\x1b[0m"},
        {"timestamp": "2024-01-02T03:04:08Z", "message": ""},
    ]

    payload = await do(
        "appendLogs", "nextSequence", WORKER, activityId=step, attempt=1, firstSequence=1, entries=entries
    )

    assert payload == {"nextSequence": 5, "userErrors": []}
    found = (await ask(LINES, ADMIN, id=step))["node"]["logs"]["nodes"]
    assert [(one["level"], one["message"], one["timestamp"]) for one in found] == [
        ("INFO", "hello $world {a: 'b'} \\u001b[31mred", "2024-01-02T02:04:05.678Z"),
        ("ERROR", "ends", "2024-01-02T03:04:06.000Z"),
        ("DEBUG", "a\N{REPLACEMENT CHARACTER}b\nc\td\x1b[0m", "2024-01-02T03:04:07.000Z"),
        ("INFO", "", "2024-01-02T03:04:08.000Z"),
    ]


async def test_repeated_overlapping_and_out_of_order_appends_store_each_line_once() -> None:
    step = await a_claimed_step()

    answers = [
        await append(step, "1", "2"),
        await append(step, "1", "2"),
        await append(step, "5", "6", first=5),
        await append(step, "2 again", "3", "4", first=2),
        await append(step, first=1),
        await append(step, "4", "5", "6", "7", first=4),
    ]

    assert [one["nextSequence"] for one in answers] == [3, 3, 7, 7, 7, 8]
    assert await lines(step) == [(number, str(number)) for number in range(1, 8)]


async def test_an_append_of_nothing_tells_where_to_go_on_and_changes_nothing() -> None:
    step = await a_claimed_step()
    kept = await everything_kept()

    payload = await append(step)

    assert payload == {"nextSequence": 1, "userErrors": []}
    assert await everything_kept() == kept


async def test_a_later_attempt_counts_from_one_and_its_lines_follow(clock: Clock) -> None:
    step = await a_claimed_step()
    await append(step, "1", "2")
    clock.forward(61)
    await claim(OTHER, "worker-2")

    late = await append(step, "late", first=3)
    beginning = await append(step, attempt=2, viewer=OTHER)
    await append(step, "again 1", attempt=2, viewer=OTHER)
    await fail(step, viewer=OTHER, worker="worker-2", attempt=2, retryable=True)
    clock.forward(61)
    await claim()
    await append(step, "third", first=2, attempt=3)

    assert state_of(late) == ("RUNNING", ["RUNNING"])
    assert beginning["nextSequence"] == 1
    assert await lines(step) == [(1, "1"), (2, "2"), (3, "again 1"), (5, "third")]


async def test_what_has_ended_logs_no_more() -> None:
    step = await a_claimed_step()
    await append(step, "1")
    await complete(step)
    kept = await everything_kept()

    payloads = [await append(step, "2", first=2), await append(step)]

    assert [state_of(one) for one in payloads] == [("SUCCEEDED", ["RUNNING"])] * 2
    assert await everything_kept() == kept


async def test_an_append_that_is_as_much_as_may_be_is_stored() -> None:
    step = await a_claimed_step()
    longest, most = "é" * 10_000, 10_000_000

    first = await append(step, *["m"] * 999, longest)
    last = await append(step, "the last", first=most)

    assert (first, last["nextSequence"], refusals(last)) == ({"nextSequence": 1001, "userErrors": []}, most + 1, [])
    assert (await lines(step))[-2:] == [(999, "m"), (1000, longest)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"firstSequence": 10_000_001}, [("LIMIT_EXCEEDED", ["input", "firstSequence"])]),
        ({"firstSequence": 0}, [("VALIDATION", ["input", "firstSequence"])]),
        ({"firstSequence": 2**31 - 1}, [("LIMIT_EXCEEDED", ["input", "firstSequence"])]),
        ({"count": 1001}, [("LIMIT_EXCEEDED", ["input", "entries"])]),
        ({"message": "m" * 10_001}, [("VALIDATION", ["input", "entries", "0", "message"])]),
        (
            {"firstSequence": -1, "message": "m" * 10_001, "count": 2},
            [
                ("VALIDATION", ["input", "firstSequence"]),
                ("VALIDATION", ["input", "entries", "0", "message"]),
                ("VALIDATION", ["input", "entries", "1", "message"]),
            ],
        ),
    ],
)
async def test_an_append_that_is_too_much_is_refused_and_stores_nothing(given: Any, expected: Any) -> None:
    step = await a_claimed_step()
    kept = await everything_kept()
    entry = {"timestamp": "2024-01-01T00:00:00Z", "message": given.get("message", "m")}
    entries = [entry] * given.get("count", 1)

    payload = await do(
        "appendLogs",
        "nextSequence",
        WORKER,
        activityId=step,
        attempt=1,
        firstSequence=given.get("firstSequence", 1),
        entries=entries,
    )

    assert (payload["nextSequence"], refusals(payload)) == (None, expected)
    assert await everything_kept() == kept


async def test_all_attempts_together_log_no_more_lines_than_can_be_numbered() -> None:
    step = await a_claimed_step()
    earlier = {"$set": {"log_base": MAX_LINES_OF_ALL_ATTEMPTS - 10, "log_end": MAX_LINES_OF_ALL_ATTEMPTS - 10}}
    await collection_of(documents.Step).update_one({"_id": step}, earlier)
    within = await append(step, "the last one", first=10)
    kept = await everything_kept()

    beyond = await append(step, "one more", first=11)

    assert within["userErrors"] == []
    assert refusals(beyond) == [("LIMIT_EXCEEDED", ["input", "firstSequence"])]
    assert await everything_kept() == kept
    assert await lines(step) == [(MAX_LINES_OF_ALL_ATTEMPTS, "the last one")]


async def test_a_log_of_ten_thousand_lines_is_paged_filtered_and_appended_to_in_one_insert(
    round_trips: Any,
) -> None:
    dag = await a_dag(a="")
    step = dag.steps["a"].id
    at = now()
    rows = (
        {
            "_id": f"log_{step}_{number}", "activityRef": step, "attempt": 1, "sequence": number, "timestamp": at,
            "type": "ERROR" if number % 100 == 0 else "INFO", "logstring": f"line {number}",
        }
        for number in range(1, 10_001)
    )  # fmt: skip
    await documents.LogEntry.get_pymongo_collection().insert_many(rows, ordered=False)
    held = {"status": "RUNNING", "attempt": 1, "log_end": 10_000, "worker": "worker-1", "claimed_by": WORKER.key}
    await documents.Step.get_pymongo_collection().update_one(
        {"_id": step}, {"$set": held | {"leaseExpiresAt": now().replace(year=2100)}}
    )

    with round_trips.counting() as seen:
        appended = await append(step, "the last", first=10_001)
    last = (await ask(LINES, ADMIN, id=step, where={"minLevel": "ERROR"}, first=1000))["node"]["logs"]
    pages, after = [], None
    for _ in range(3):
        page = (await ask(LINES, ADMIN, id=step, first=1000, after=after))["node"]["logs"]
        pages += [one["sequence"] for one in page["nodes"]]
        after = page["pageInfo"]["endCursor"]

    assert appended["nextSequence"] == 10_002
    assert seen == [("findAndModify", "steps"), ("insert", "logs"), ("commitTransaction", "")]
    assert [one["sequence"] for one in last["nodes"]] == list(range(100, 10_001, 100))
    assert pages == list(range(1, 3001))
