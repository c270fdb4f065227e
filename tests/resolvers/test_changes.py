"""Waking those who wait: one change stream for all, ended with the last of them, and mended when it breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import documents
from documents.database import Client, Database, make_client, open_database
from documents.embedded import Embedded
from resolvers import changes as module
from resolvers.changes import MOST_WATCHING, Changes, Watch
from resolvers.refusals import LimitExceeded
from tests.builders import a_log_entry, a_step, a_twin, a_user, an_execution, keep
from tests.conftest import RoundTrips

LONG, SHORT = 20.0, 0.4


@pytest.fixture(scope="module")
async def breakable(fast_directory: Path) -> AsyncIterator[Client]:
    """A database server that can be told to fail."""
    with Embedded.start(fast_directory / "breakable", test_commands=True) as embedded:
        client = make_client(embedded.uri, timeoutMS=10_000)
        await client.aconnect()
        yield client
        await client.close()


@pytest.fixture
async def elsewhere(breakable: Client) -> Database:
    """A database on it, to which the documents are bound."""
    database = breakable["changes"]
    await open_database(database, indexes=False)
    return database


async def fail(client: Client, command: str, times: int, **how: Any) -> None:
    """Let the next so many commands of a kind fail."""
    data = {"failCommands": [command], **how}
    await client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)


async def woken(watch: Watch, seconds: float) -> bool:
    """Whether the watch is told of a change in time."""
    try:
        async with asyncio.timeout(seconds):
            await watch._changed.wait()
    except TimeoutError:
        return False
    await watch.changed(LONG)
    return True


async def touch(document: documents.Document, **fields: Any) -> None:
    """Change something of a document."""
    await document.get_pymongo_collection().update_one({"_id": document.id}, {"$set": fields or {"touched": 1}})


async def a_run() -> tuple[documents.Execution, documents.Step]:
    """An execution of one step, kept."""
    twin = a_twin(owner := a_user())
    execution = an_execution(twin)
    step = a_step(execution)
    await keep(owner, twin, execution, step)
    return execution, step


async def test_who_is_woken_by_what(database: Database) -> None:
    execution, step = await a_run()
    changes = Changes()
    async with changes.of(execution.id) as of_execution, changes.of(step.id) as of_step:
        told = []
        for document, fields in (
            (execution, {"title": "another"}),
            (step, {"status": "RUNNING"}),
            (step, {"log_end": 5, "reports": 1}),
            (step, {"reports": 2}),
            (step, {"log_end": 6, "status": "FAILED"}),
        ):
            await touch(document, **fields)
            told.append((await woken(of_execution, SHORT), await woken(of_step, SHORT)))
        await keep(a_log_entry(step))
        told.append((await woken(of_execution, SHORT), await woken(of_step, SHORT)))

    # Log lines are no change of an execution; whoever follows them is told by the activity.
    assert told == [(True, False), (True, True), (False, True), (True, True), (True, True), (False, False)]


async def test_all_share_one_change_stream_which_ends_with_the_last_of_them(
    database: Database, round_trips: RoundTrips
) -> None:
    execution, step = await a_run()
    changes = Changes()
    before = len(asyncio.all_tasks())
    with round_trips.counting() as seen:
        async with AsyncExitStack() as stack:
            watches = [await stack.enter_async_context(changes.of(execution.id)) for _ in range(50)]
            await touch(step)
            told = [await woken(watch, 5) for watch in watches]
    await asyncio.sleep(1.2)

    assert all(told)
    assert [name for name, _ in seen if name == "aggregate"] == ["aggregate"]
    assert len(asyncio.all_tasks()) <= before
    assert changes.watching == 0


async def test_it_begins_again_after_it_has_ended(database: Database) -> None:
    execution, _ = await a_run()
    changes = Changes()
    for _ in range(3):
        async with changes.of(execution.id) as watch:
            await touch(execution, title=str(id(watch)))
            assert await woken(watch, 5)


async def test_a_burst_wakes_a_few_times_and_the_last_wake_comes_after_the_last_change(database: Database) -> None:
    execution, _ = await a_run()
    collection = execution.get_pymongo_collection()
    changes = Changes()
    seen: list[int] = []

    async with changes.of(execution.id) as watch:

        async def watching() -> None:
            while not seen or seen[-1] < 500:
                await watch.changed(LONG)
                row = await collection.find_one({"_id": execution.id})
                assert row
                seen.append(row["revision"])

        task = asyncio.create_task(watching())
        for number in range(501):
            await touch(execution, revision=number)
        async with asyncio.timeout(5):
            await task

    assert seen[-1] == 500
    assert len(seen) < 50


@pytest.mark.parametrize(
    "failure",
    [{"errorCode": 286}, {"errorCode": 280}, {"errorCode": 43}, {"errorCode": 11602}, {"closeConnection": True}],
    ids=str,
)
async def test_nothing_is_missed_when_the_stream_breaks(
    breakable: Client, elsewhere: Database, failure: dict[str, Any]
) -> None:
    execution, step = await a_run()
    changes = Changes()
    async with changes.of(execution.id) as watch:
        await fail(breakable, "getMore", 1, **failure)
        # While the stream is broken, for some of the failures; they end in a wake all the same.
        await asyncio.sleep(1.1)
        await touch(step)
        during = await woken(watch, 5)
        await asyncio.sleep(1)
        while await woken(watch, 0.1):
            pass
        await touch(step, touched=2)
        after = await woken(watch, 5)

    assert (during, after) == (True, True)


async def test_a_stream_that_cannot_be_resumed_begins_anew_and_wakes_everybody_once(
    breakable: Client, elsewhere: Database
) -> None:
    execution, _ = await a_run()
    changes = Changes()
    async with changes.of(execution.id) as one, changes.of("execution_that_does_not_change") as other:
        await fail(breakable, "getMore", 1, errorCode=286)

        told = (await woken(one, 5), await woken(other, 5))
        again = (await woken(one, 1), await woken(other, 0.1))

    assert told == (True, True)
    assert again == (False, False)


async def test_a_database_that_is_dropped_is_watched_again(breakable: Client, elsewhere: Database) -> None:
    execution, _ = await a_run()
    changes = Changes()
    async with changes.of(execution.id) as watch:
        await breakable.drop_database(elsewhere)
        told = await woken(watch, 10)
        await keep(execution)
        back = await woken(watch, 10)

    assert (told, back) == (True, True)


async def test_a_database_that_does_not_open_a_stream_is_an_error_in_time_and_leaves_nothing(
    breakable: Client, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_WITHIN", 1.0)
    changes = Changes()
    before = len(asyncio.all_tasks())
    await fail(breakable, "aggregate", 1000, errorCode=50)
    try:
        with pytest.raises(TimeoutError):
            async with changes.of("execution_1"):
                pass
    finally:
        await breakable.admin.command("configureFailPoint", "failCommand", mode="off")
    await asyncio.sleep(0.1)

    assert changes.watching == 0
    assert len(asyncio.all_tasks()) <= before
    async with changes.of("execution_1"):
        pass


async def test_there_is_a_bound_to_how_many_watch(database: Database) -> None:
    changes = Changes()
    async with AsyncExitStack() as stack:
        for number in range(MOST_WATCHING):
            await stack.enter_async_context(changes.of(str(number)))
        with pytest.raises(LimitExceeded, match="2,000 subscriptions are open here"):
            await stack.enter_async_context(changes.of("one more"))
    async with changes.of("one more"):
        pass
