"""Waking those who wait: one change stream for all, ended with the last of them, and mended when it breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import ServerSelectionTimeoutError

import documents
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, Database, make_client, open_database
from resolvers.activities import change_stream as module
from resolvers.activities.change_stream import ChangeFeed, Listener
from resolvers.limits import MAX_SUBSCRIPTIONS
from resolvers.user_errors import LimitExceeded
from tests.conftest import RoundTrips
from tests.support.builders import a_log_entry, a_step, a_twin, a_user, an_execution, keep
from tests.support.patience import until_awaited, within


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for changes, and for a database that was away, many times a second; let opening the stream take its time."""
    monkeypatch.setattr(module, "MAX_AWAIT_TIME_MS", 50)
    monkeypatch.setattr(module, "REOPEN_INTERVAL", 0.05)
    monkeypatch.setattr(module, "OPEN_TIMEOUT", within())


@pytest.fixture(scope="module")
async def breakable(fast_directory: Path) -> AsyncIterator[Client]:
    """A database server that can be told to fail."""
    with EmbeddedMongo.start(fast_directory / "breakable", test_commands=True) as embedded:
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


async def fail_once(client: Client, command: str, **how: Any) -> int:
    """Let the next command of a kind fail; how many will have failed then since the database server was started."""
    data = {"failCommands": [command], **how}
    set_ = await client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=data)
    return int(set_["count"]) + 1


async def have_failed(client: Client, times: int) -> None:
    """Return when so many commands have failed since the database server was started."""
    await client.admin.command("waitForFailPoint", "failCommand", timesEntered=times, maxTimeMS=int(1000 * within()))


@asynccontextmanager
async def gone_away(client: Client, **how: Any) -> AsyncIterator[None]:
    """Neither open a change stream nor go on with one within the block."""
    data = {"failCommands": ["aggregate", "getMore"], **how}
    await client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
    try:
        yield
    finally:
        await client.admin.command("configureFailPoint", "failCommand", mode="off")


async def woken(watch: Listener) -> bool:
    """Whether the watch is told of a change."""
    try:
        async with asyncio.timeout(within()):
            await watch._changed.wait()
    except TimeoutError:
        return False
    await watch.wait(0)
    return True


def was_woken(watch: Listener) -> bool:
    """Whether the watch was told of a change since this was asked last."""
    woken = watch._changed.is_set()
    watch._changed.clear()
    return woken


class Last:
    """A change that is told after all that was written before it."""

    def __init__(self, execution: documents.Execution, watch: Listener) -> None:
        self._execution, self._watch = execution, watch

    @classmethod
    @asynccontextmanager
    async def of(cls, changes: ChangeFeed) -> "AsyncIterator[Last]":
        execution, _ = await a_run()
        async with changes.listen(execution.id) as watch:
            yield cls(execution, watch)

    async def is_told(self) -> None:
        """Return when everything is told that was written so far."""
        was_woken(self._watch)
        await touch(self._execution, touched=str(ObjectId()))
        assert await woken(self._watch)

    async def is_told_alone(self, *watches: Listener) -> None:
        """Return when these watches are told nothing more of a stream that broke off."""

        async def is_alone() -> bool:
            await self.is_told()
            quiet = [not was_woken(watch) for watch in watches]
            return all(quiet)

        await until_awaited(is_alone)


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
    changes = ChangeFeed()
    async with (
        Last.of(changes) as last,
        changes.listen(execution.id) as of_execution,
        changes.listen(step.id) as of_step,
    ):
        told = []
        for document, fields in (
            (execution, {"title": "another"}),
            (step, {"status": "RUNNING"}),
            (step, {"log_end": 5, "reports": 1}),
            (step, {"reports": 2}),
            (step, {"log_end": 6, "status": "FAILED"}),
        ):
            await touch(document, **fields)
            await last.is_told()
            told.append((was_woken(of_execution), was_woken(of_step)))
        await keep(a_log_entry(step))
        await last.is_told()
        told.append((was_woken(of_execution), was_woken(of_step)))

    # Log lines are no change of an execution; whoever follows them is told by the activity.
    assert told == [(True, False), (True, True), (False, True), (True, True), (True, True), (False, False)]


async def test_whether_the_stream_is_needed_and_since_when_it_is_open_is_told(database: Database) -> None:
    execution, _ = await a_run()
    changes = ChangeFeed()

    before = changes.is_needed, changes.open_seconds
    async with changes.listen(execution.id):
        during = changes.is_needed, changes.open_seconds
    await until_awaited(partial(_is_closed, changes))

    assert before == (False, None)
    assert during[0]
    assert during[1] is not None
    assert not changes.is_needed


async def _is_closed(changes: ChangeFeed) -> bool:
    return changes.open_seconds is None


async def test_all_share_one_change_stream_which_ends_with_the_last_of_them(
    database: Database, round_trips: RoundTrips
) -> None:
    execution, step = await a_run()
    changes = ChangeFeed()
    before = len(asyncio.all_tasks())
    with round_trips.counting() as seen:
        async with AsyncExitStack() as stack:
            watches = [await stack.enter_async_context(changes.listen(execution.id)) for _ in range(50)]
            await touch(step)
            told = [await woken(watch) for watch in watches]

    assert all(told)
    assert [name for name, _ in seen if name == "aggregate"] == ["aggregate"]
    await no_more_tasks_than(before)
    assert changes.listener_count == 0


async def no_more_tasks_than(before: int) -> None:
    """Return when so many tasks are left at most."""

    async def are_gone() -> bool:
        return len(asyncio.all_tasks()) <= before

    await until_awaited(are_gone)


async def test_it_begins_again_after_it_has_ended(database: Database) -> None:
    execution, _ = await a_run()
    changes = ChangeFeed()
    for _ in range(3):
        async with changes.listen(execution.id) as watch:
            await touch(execution, title=str(id(watch)))
            assert await woken(watch)


async def test_a_burst_wakes_a_few_times_and_the_last_wake_comes_after_the_last_change(database: Database) -> None:
    execution, _ = await a_run()
    collection = execution.get_pymongo_collection()
    changes = ChangeFeed()
    seen: list[int] = []

    async with changes.listen(execution.id) as watch:
        began = asyncio.get_running_loop().time()

        async def watching() -> None:
            while not seen or seen[-1] < 120:
                await watch.wait(within())
                row = await collection.find_one({"_id": execution.id})
                assert row
                seen.append(row["revision"])

        task = asyncio.create_task(watching())
        for number in range(121):
            await touch(execution, revision=number)
        async with asyncio.timeout(within()):
            await task
        took = asyncio.get_running_loop().time() - began

    assert seen[-1] == 120
    # Wakes are counted by the time that passed, which is as long as this machine makes it.
    assert len(seen) <= 2 + took / module.MIN_WAKE_INTERVAL


@pytest.mark.parametrize(
    "failure",
    [{"errorCode": 286}, {"errorCode": 280}, {"errorCode": 43}, {"errorCode": 11602}, {"closeConnection": True}],
    ids=str,
)
async def test_nothing_is_missed_when_the_stream_breaks(
    breakable: Client, elsewhere: Database, failure: dict[str, Any]
) -> None:
    execution, step = await a_run()
    changes = ChangeFeed()
    async with Last.of(changes) as last, changes.listen(execution.id) as watch:
        await have_failed(breakable, await fail_once(breakable, "getMore", **failure))
        # While the stream is broken, for some of the failures; they end in a wake all the same.
        await touch(step)
        during = await woken(watch)
        await last.is_told_alone(watch)
        await touch(step, touched=2)
        after = await woken(watch)

    assert (during, after) == (True, True)


async def test_a_stream_that_cannot_be_resumed_begins_anew_and_wakes_everybody_once(
    breakable: Client, elsewhere: Database
) -> None:
    execution, _ = await a_run()
    changes = ChangeFeed()
    async with (
        Last.of(changes) as last,
        changes.listen(execution.id) as one,
        changes.listen("execution_that_does_not_change") as other,
    ):
        await fail_once(breakable, "getMore", errorCode=286)

        told = (await woken(one), await woken(other))
        await last.is_told()
        again = (was_woken(one), was_woken(other))

    assert told == (True, True)
    assert again == (False, False)


@pytest.mark.parametrize("failure", [{"closeConnection": True}, {"errorCode": 11602}, {"errorCode": 91}], ids=str)
async def test_everybody_who_waits_is_told_when_the_database_goes_away(
    breakable: Client, elsewhere: Database, failure: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    execution, _ = await a_run()
    changes = ChangeFeed()
    # A time-out for the stream alone; the client's other operations keep theirs.
    monkeypatch.setattr(documents.Execution.get_pymongo_collection().database, "_timeout", 2.0)
    async with (
        Last.of(changes) as last,
        changes.listen(execution.id) as one,
        changes.listen("execution_that_does_not_change") as other,
    ):
        async with gone_away(breakable, **failure):
            told = (await woken(one), await woken(other))
        await last.is_told_alone(one)
        await touch(execution)
        back = await woken(one)

    assert (told, back) == ((True, True), True)


async def test_a_database_that_is_dropped_is_watched_again(breakable: Client, elsewhere: Database) -> None:
    execution, _ = await a_run()
    changes = ChangeFeed()
    async with changes.listen(execution.id) as watch:
        await breakable.drop_database(elsewhere)
        told = await woken(watch)
        await keep(execution)
        back = await woken(watch)

    assert (told, back) == (True, True)


async def test_a_database_that_does_not_open_a_stream_is_an_error_in_time_and_leaves_nothing(
    breakable: Client, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ChangeFeed()
    before = len(asyncio.all_tasks())
    async with gone_away(breakable, errorCode=50):
        with monkeypatch.context() as hurried:
            hurried.setattr(module, "OPEN_TIMEOUT", 0.5)
            with pytest.raises(ServerSelectionTimeoutError):
                async with changes.listen("execution_1"):
                    pass

    assert changes.listener_count == 0
    await no_more_tasks_than(before)
    async with changes.listen("execution_1"):
        pass


async def test_there_is_a_bound_to_how_many_watch(database: Database) -> None:
    changes = ChangeFeed()
    async with AsyncExitStack() as stack:
        for number in range(MAX_SUBSCRIPTIONS):
            await stack.enter_async_context(changes.listen(str(number)))
        with pytest.raises(LimitExceeded, match="2,000 subscriptions are open on this server, which is the maximum"):
            await stack.enter_async_context(changes.listen("one more"))
    async with changes.listen("one more"):
        pass
