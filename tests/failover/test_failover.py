"""A replica set of three loses its primary in every way, while clients write and read: nothing is lost or doubled.

Run by `make failover`; the bounds hold on a machine that has the time for it.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from documents.mongo.topology import ELECTION_TIMEOUT
from graph.limits import REQUEST_TIMEOUT
from tests.failover.replica_set import ELECTION_SECONDS, ReplicaSet
from tests.failover.traffic import Traffic, traffic
from tests.support.follower import EXECUTION, follower
from tests.support.running import COMMAND, Running, on_database, running
from tests.support.working import Lab

SLACK = 0.25
"""Seconds beyond its deadline that a write may take to fail."""
READ_TIMEOUT = ELECTION_TIMEOUT + 0.5
QUICKLY = 1.0
"""Seconds within which a request is refused while it is known that there is no primary, also where much is asked."""
AFTERWARDS = 3.0
"""Seconds of undisturbed traffic after each fault."""

Fault = Callable[[ReplicaSet], None]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def members(fast_directory: Path) -> Iterator[ReplicaSet]:
    """The three servers."""
    made = ReplicaSet(fast_directory / "failover")
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture
def server(members: ReplicaSet, request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server on a database of the test's own."""
    name = f"failover_{abs(hash(request.node.name))}"
    with running(*COMMAND, "serve", env=on_database(members.uri, name)) as server:
        yield server


def killed(members: ReplicaSet) -> None:
    primary = members.primary()
    primary.kill()
    time.sleep(6)
    primary.start()


def stopped(members: ReplicaSet) -> None:
    """As by `systemctl stop`: it hands over first, and refuses what comes while it does."""
    primary = members.primary()
    primary.signal(signal.SIGTERM)
    primary.wait()
    primary.start()


def hung(members: ReplicaSet) -> None:
    """As behind a dead switch: its connections stay open, and it says nothing."""
    primary = members.primary()
    primary.signal(signal.SIGSTOP)
    time.sleep(8)
    primary.signal(signal.SIGCONT)


def hung_for_a_moment(members: ReplicaSet) -> None:
    primary = members.primary()
    primary.signal(signal.SIGSTOP)
    time.sleep(1)
    primary.signal(signal.SIGCONT)


def stepped_down(members: ReplicaSet) -> None:
    members.step_down()
    time.sleep(2)


def without_a_secondary(members: ReplicaSet) -> None:
    primary = members.primary()
    secondary = next(member for member in members.members if member is not primary)
    secondary.kill()
    time.sleep(4)
    secondary.start()


@pytest.mark.parametrize(
    "fault", [killed, stopped, hung, hung_for_a_moment, stepped_down, without_a_secondary], ids=lambda one: one.__name__
)
async def test_a_new_primary_takes_over_and_nothing_is_lost_or_doubled(
    members: ReplicaSet, server: Running, fault: Fault
) -> None:
    async with traffic(server) as clients:
        await clients.flows(20)
        await asyncio.to_thread(fault, members)
        await asyncio.to_thread(members.settle)
        took = await clients.flows(10)
        await asyncio.sleep(AFTERWARDS)

    tell(clients, fault.__name__, took)
    assert clients.wrong == []
    assert clients.longest("flat", "point") < READ_TIMEOUT
    assert clients.longest("write") < REQUEST_TIMEOUT + SLACK
    await nothing_is_lost_or_doubled(server, clients)
    assert "Traceback" not in server.log


async def test_without_a_majority_requests_are_refused_at_once_and_answered_again_afterwards(
    members: ReplicaSet, server: Running
) -> None:
    lost = [members.members[0], members.members[1]]
    async with traffic(server) as clients:
        await clients.flows(20)
        await asyncio.gather(*(asyncio.to_thread(member.kill) for member in lost))
        await asyncio.sleep(ELECTION_TIMEOUT + 3)
        refused_from = time.monotonic()
        await asyncio.sleep(5)
        refused = clients.since(refused_from)
        live = await asyncio.to_thread(lambda: server.get("/livez").status_code)
        await asyncio.gather(*(asyncio.to_thread(member.start) for member in lost))
        await asyncio.to_thread(members.settle)
        took = await clients.flows(10)
        await asyncio.sleep(AFTERWARDS)

    tell(clients, "without a majority", took)
    assert clients.wrong == []
    assert live == 200
    assert {one.codes for one in refused} == {frozenset({"UNAVAILABLE"})}
    assert max(one.seconds for one in refused) < QUICKLY
    # The old primary may keep its role for so long, and reads that begin meanwhile wait from then on.
    assert clients.longest("flat", "point") < ELECTION_SECONDS + READ_TIMEOUT
    assert clients.longest("write") < REQUEST_TIMEOUT + SLACK
    await nothing_is_lost_or_doubled(server, clients)
    lines = [line for line in server.log.splitlines() if "could not be answered" in line]
    assert 1 <= len(lines) < 8, lines
    assert "Traceback" not in server.log


async def test_what_is_followed_goes_on_with_the_next_primary(members: ReplicaSet, server: Running) -> None:
    lab = Lab(server, server.token, server.directory)
    execution = await asyncio.to_thread(lab.an_execution, {"key": "only"})
    async with follower(server) as socket:
        await socket.follow(EXECUTION, id=execution)
        before = await socket.next()
        await asyncio.to_thread(killed, members)
        await asyncio.to_thread(members.settle)
        await asyncio.to_thread(lab.leave_nothing_waiting)
        after = await socket.next(30)

    assert (before["status"], after["status"]) == ("READY", "CANCELLED")
    assert "Traceback" not in server.log
    assert server.log.count("the change stream broke off") <= 2


async def nothing_is_lost_or_doubled(server: Running, clients: Traffic) -> None:
    """Each thing that was written is there once, under the id that was answered, and nothing else is."""
    kept = [one async for one in every_instance(server)]

    assert len(clients.written) > 20
    assert sorted(kept) == sorted((title, id) for title, id in clients.written.items())


async def every_instance(server: Running) -> AsyncIterator[tuple[str, str]]:
    """Title and id of every instance that is kept."""
    query = (
        "query($after: String) { instances(first: 100, after: $after)"
        " { nodes { id title } pageInfo { endCursor hasNextPage } } }"
    )
    after = None
    while True:
        page = (await asyncio.to_thread(server.ask, query, {"after": after}))["instances"]
        for node in page["nodes"]:
            yield node["title"], node["id"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return


def tell(clients: Traffic, fault: str, took: float) -> None:
    """Print what was measured."""
    failed = [one for one in clients.answers if not one.well]
    print(
        f"\n{fault}: {len(clients.answers):,} answers, {len(clients.written):,} written, {len(failed)} outages, "
        f"longest flat {clients.longest('flat'):.2f} s, point {clients.longest('point'):.2f} s, "
        f"write {clients.longest('write'):.2f} s, well again {took:.2f} s after the set was"
    )
