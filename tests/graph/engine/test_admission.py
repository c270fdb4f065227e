"""As much is done at a time as the server can do; the rest waits for a moment or is refused, and nobody signed in."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from graph.engine.admission import (
    MAX_WEIGHT,
    MIN_WEIGHT,
    OBJECTS_PER_SLOT,
    TOTAL_WEIGHT,
    Admission,
    Capacity,
    Cost,
    Permit,
)
from graph.errors import Overloaded, OverloadReason
from tests.support.connections import Connection, a_post, open_connection
from tests.support.follower import gauge
from tests.support.patience import until, within
from tests.support.running import FAULTY_SERVER, Running, on_database, running

POINT = "query($id: ID!) { user(id: $id) { id } }"
WAIT_TIMEOUT, WRITE_TIMEOUT = "graph.engine.admission.WAIT_TIMEOUT", "graph.http.send_buffers.WRITE_TIMEOUT"
numbers = count()


@pytest.fixture(scope="module")
def narrow(mongod: EmbeddedMongo) -> Iterator[Running]:
    """A server that runs one operation of anonymous callers at a time, and lets three wait."""
    env = on_database(mongod.uri, "test_narrow") | {"PROVENANCE_CONCURRENCY": "1", "PROVENANCE_ANSWER_MEMORY": "16"}
    # Nobody is refused or given up because the machine is slow; tests that claim it shorten these.
    env["ALTERED_CONSTANTS"] = json.dumps({WAIT_TIMEOUT: within(), WRITE_TIMEOUT: within()})
    with running(*FAULTY_SERVER, env=env) as running_server:
        yield running_server


@pytest.fixture
def askers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as made:
        yield made


class Gate:
    """Holds operations until it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def query(self) -> str:
        """A query that is held, like none before it, so that nothing is known of what it costs."""
        return f"{{ a{next(numbers)}: held(path: {json.dumps(str(self._path))}) }}"

    @property
    def mutation(self) -> str:
        """A mutation that is held."""
        return f"mutation {{ touchLate(path: {json.dumps(str(self._path))}) }}"

    def open(self) -> None:
        """Let go what is held, and whatever comes."""
        self._path.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path / "open")
    yield made
    made.open()


def quick() -> str:
    """A query that is like none before it."""
    return f"{{ a{next(numbers)}: slow(seconds: 0) }}"


def idle(server: Running) -> bool:
    """Whether nothing runs or waits, nor is yet to be read."""
    return weight(server) == waiting(server) == gauge(server, "provenance_unsent_bytes") == 0


@contextmanager
def full(server: Running, askers: ThreadPoolExecutor, gate: Gate) -> "Iterator[list[Future[httpx2.Response]]]":
    """Requests of anonymous callers, as many as may run and wait, which are held within the block."""
    until(lambda: idle(server))
    made = [askers.submit(server.post, gate.query)]
    try:
        until(lambda: weight(server) > 0)
        made += [askers.submit(server.post, gate.query) for _ in range(3)]
        until(lambda: waiting(server) == 3)
        yield made
    finally:
        gate.open()


def waiting(server: Running) -> int:
    return gauge(server, "provenance_operations_waiting")


def codes(answer: httpx2.Response) -> list[str]:
    return [error["extensions"]["code"] for error in answer.json().get("errors", [])]


def test_what_cannot_begin_soon_is_refused_and_what_waits_is_answered(
    narrow: Running, askers: ThreadPoolExecutor, gate: Gate
) -> None:
    with full(narrow, askers, gate) as before:
        refused = narrow.post(quick())

    assert (refused.status_code, codes(refused)) == (503, ["OVERLOADED"])
    assert refused.headers["retry-after"] == "1"
    assert "data" not in refused.json()
    message = "The server is busy with other requests. Try again in a second or later."
    assert refused.json()["errors"][0]["message"] == message
    assert [answer.result().status_code for answer in before] == [200] * 4
    assert narrow.post(quick()).status_code == 200


def test_what_waited_too_long_is_refused(narrow: Running, askers: ThreadPoolExecutor, gate: Gate) -> None:
    until(lambda: idle(narrow))
    begun = askers.submit(narrow.post, gate.query)
    until(lambda: weight(narrow) > 0)

    with narrow.altering(WAIT_TIMEOUT, 0.5):
        began = time.monotonic()
        refused = [answer.result() for answer in [askers.submit(narrow.post, gate.query) for _ in range(3)]]
        waited = time.monotonic() - began
    gate.open()

    assert [answer.status_code for answer in refused] == [503] * 3
    assert waited >= 0.5
    assert begun.result().status_code == 200


async def test_an_operation_waits_for_room_for_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    admission = Admission(Capacity(slots=1, memory=1_000_000_000))
    permits = [admission.permit(Cost(OBJECTS_PER_SLOT), signed_in=False) for _ in range(2)]

    async with permits[0]:
        waiting_one = asyncio.create_task(permits[1].__aenter__())
        await _let_run()
        now += 1.9
        await _let_run()
        before = admission.waiting
        groups = {name: (group.running, len(group.waiting)) for name, group in admission.groups.items()}
        now += 0.2
        await _let_run()

        assert (before, admission.waiting) == (1, 0)
        with pytest.raises(Overloaded) as refused:
            waiting_one.result()
    assert admission.running == 0
    assert groups == {"anonymous": (1, 1), "signed_in": (0, 0)}
    assert [group.running for group in admission.groups.values()] == [0, 0]
    assert refused.value.reason is OverloadReason.WAIT_TIMEOUT


async def test_refusals_are_counted_by_what_there_was_too_much_of() -> None:
    admission = Admission(Capacity(slots=1, memory=1_000_000_000))

    await admission.delay_refusal(OverloadReason.BODIES)
    await admission.delay_refusal(OverloadReason.BODIES)

    assert {reason: count for reason, count in admission.refused.items() if count} == {"bodies": 2}


@pytest.mark.parametrize(("signed_in", "most"), [(False, 1_500), (True, 6_000)])
async def test_operations_wait_until_their_weights_reach_the_bound_of_their_group(signed_in: bool, most: int) -> None:
    admission = Admission(Capacity(slots=1, memory=1_000_000_000))

    def permit(weight: int, *, patient: bool = False) -> Permit:
        return admission.permit(Cost(weight * OBJECTS_PER_SLOT // TOTAL_WEIGHT), signed_in=signed_in, patient=patient)

    weights = [*[MAX_WEIGHT] * ((most - 1) // MAX_WEIGHT), (most - 1) % MAX_WEIGHT]
    async with permit(MAX_WEIGHT):
        waiting_ones = [asyncio.create_task(permit(weight).__aenter__()) for weight in [*weights, MIN_WEIGHT]]
        await _let_run()
        with pytest.raises(Overloaded):
            await permit(MIN_WEIGHT).__aenter__()
        patient_one = asyncio.create_task(permit(MIN_WEIGHT, patient=True).__aenter__())
        await _let_run()

        assert admission.running == MAX_WEIGHT
        assert admission.waiting == len(weights) + 2
        for one in [*waiting_ones, patient_one]:
            one.cancel()
        await _let_run()
    assert (admission.running, admission.waiting) == (0, 0)


async def _let_run() -> None:
    """Let the other tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_others_are_answered_while_anonymous_callers_are_too_many(
    narrow: Running, askers: ThreadPoolExecutor, gate: Gate
) -> None:
    assert narrow.post(POINT, {"id": "user_0"}).json() == {"data": {"user": None}}
    with full(narrow, askers, gate):
        signed_in = narrow.ask(quick())
        point = narrow.post(POINT, {"id": "user_1"})
        alive = narrow.get("/livez")

    assert list(signed_in.values()) == ["done"]
    assert (point.json(), alive.status_code) == ({"data": {"user": None}}, 200)


def test_credentials_that_are_none_let_nobody_in(narrow: Running, askers: ThreadPoolExecutor, gate: Gate) -> None:
    with full(narrow, askers, gate):
        refused = narrow.post(quick(), authorization="Bearer nothing")

    assert (refused.status_code, codes(refused)) == (401, ["UNAUTHENTICATED"])


@pytest.mark.parametrize("place", ["running", "waiting"])
def test_a_client_that_hangs_up_ends_its_work(
    narrow: Running, askers: ThreadPoolExecutor, gate: Gate, place: str
) -> None:
    until(lambda: idle(narrow))
    before = askers.submit(narrow.post, gate.query) if place == "waiting" else None
    until(lambda: before is None or weight(narrow) > 0)
    connection = Connection(narrow.url)
    connection.write(a_post(json.dumps({"query": gate.query}).encode()))
    until(lambda: waiting(narrow) == 1 if before else weight(narrow) > 0)

    connection.close()

    until(lambda: waiting(narrow) == 0 if before else weight(narrow) == 0)
    gate.open()
    assert before is None or before.result().status_code == 200
    assert "Exception in ASGI application" not in narrow.log


def weight(server: Running) -> int:
    return gauge(server, "provenance_operations_weight")


def test_a_mutation_does_not_end_with_its_client(narrow: Running, gate: Gate) -> None:
    begun, done = narrow.log.count("touching"), narrow.log.count("touched late")
    connection = Connection(narrow.url)
    connection.write(a_post(json.dumps({"query": gate.mutation}).encode()))
    until(lambda: narrow.log.count("touching") > begun)

    connection.close()
    # The event loop answers this after it has seen the connection close.
    assert narrow.get("/livez").status_code == 200
    gate.open()

    until(lambda: narrow.log.count("touched late") > done)


def test_equal_requests_need_no_room_each(narrow: Running, askers: ThreadPoolExecutor) -> None:
    query = "{ users { nodes { id digitalTwins { nodes { id } } } } }"

    answers = list(askers.map(lambda _: narrow.post(query), range(32)))

    assert [answer.status_code for answer in answers] == [200] * 32


LARGE = "a" * 900_000
LARGEST = {"query": f"query($v: JSON!) {{ {' '.join(f'a{n}: echo(value: $v)' for n in range(6))} }}"}


def large(signed_in: bool, server: Running) -> bytes:
    """A request for an answer of 5.4 MB, more than may wait for all clients together."""
    body = json.dumps({**LARGEST, "variables": {"v": LARGE}}).encode()
    return a_post(body, *([f"Authorization: Bearer {server.token}"] if signed_in else []))


def unread(server: Running) -> int:
    return gauge(server, "provenance_connections_unread_total")


def silent_client(server: Running) -> AbstractContextManager[Connection]:
    """A client that asks and reads nothing before it is told to."""
    return open_connection(server.url, receive_buffer=65_536)


def test_clients_that_do_not_read_are_given_up_before_they_hold_much(narrow: Running) -> None:
    until(lambda: idle(narrow))
    before = unread(narrow)

    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(silent_client(narrow)).write(large(False, narrow))
        until(lambda: unread(narrow) >= before + 5)
        reader = stack.enter_context(open_connection(narrow.url))
        reader.write(large(False, narrow))
        status, _, body = reader.read()
        unsent = gauge(narrow, "provenance_unsent_bytes")

    assert status == b"HTTP/1.1 200 OK"
    assert {len(value) for value in json.loads(body)["data"].values()} == {len(LARGE)}
    assert unsent < 16_000_000 / 3 + 6 * len(LARGE)


def test_a_client_has_a_time_for_reading(narrow: Running) -> None:
    until(lambda: idle(narrow))
    before = unread(narrow)

    with narrow.altering(WRITE_TIMEOUT, 0.2), silent_client(narrow) as client:
        client.write(large(True, narrow))
        until(lambda: unread(narrow) == before + 1)
        unsent = gauge(narrow, "provenance_unsent_bytes")

    assert unsent == 0


def test_who_is_signed_in_is_given_up_last(narrow: Running) -> None:
    until(lambda: idle(narrow))
    before = unread(narrow)
    with silent_client(narrow) as signed_in, silent_client(narrow) as other:
        signed_in.write(large(True, narrow))
        until(lambda: gauge(narrow, "provenance_unsent_bytes") > 1_000_000)

        other.write(large(False, narrow))
        until(lambda: unread(narrow) > before)
        gone = other.read_rest()
        _, _, body = signed_in.read()

    assert len(gone) < 6 * len(LARGE)
    assert len(body) >= 6 * len(LARGE)


def test_a_client_that_has_not_read_an_answer_gets_no_further_one(narrow: Running) -> None:
    until(lambda: idle(narrow))
    before = narrow.log.count("touched")
    follow = a_post(b'{"query":"mutation { touch }"}')

    with silent_client(narrow) as client:
        client.write(large(True, narrow) + follow)
        until(lambda: gauge(narrow, "provenance_unsent_bytes") > 1_000_000)
        in_between = narrow.log.count("touched")
        (_, _, first), (_, _, second) = client.read(), client.read()

    assert in_between == before
    assert len(first) >= 6 * len(LARGE)
    assert second == b'{"data":{"touch":true}}'
    assert narrow.log.count("touched") == before + 1


def test_bodies_that_do_not_end_are_bounded_together(narrow: Running) -> None:
    head = "POST /graphql HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    begun = [Connection(narrow.url) for _ in range(5)]
    for connection in begun:
        connection.write(head.encode() + b" " * 900_000)

    until(lambda: sum(not connection.is_silent() for connection in begun) == 3)
    refused = next(connection for connection in begun if not connection.is_silent()).read()

    assert refused[0] == b"HTTP/1.1 503 Service Unavailable"
    assert json.loads(refused[2])["errors"][0]["extensions"]["code"] == "OVERLOADED"
    assert narrow.post("{ hello }").json() == {"data": {"hello": "world"}}
    for connection in begun:
        connection.close()


def test_bodies_that_do_not_end_keep_no_others_out(narrow: Running) -> None:
    head = b"POST /graphql HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    body = b'{"query":"{ hello }"}'.ljust(900_000)
    with ExitStack() as stack:
        for _ in range(12):
            endless = stack.enter_context(open_connection(narrow.url))
            endless.write(head % 1_000_000 + b" " * 900_000)

        for _ in range(3):
            honest = stack.enter_context(open_connection(narrow.url))
            honest.write(head % len(body))
            assert honest.is_silent()
            honest.write(body)
            assert json.loads(honest.read()[2]) == {"data": {"hello": "world"}}


def test_documents_like_no_other_take_a_part_of_the_time_and_those_that_are_known_go_on(narrow: Running) -> None:
    fields = " ".join(f"f{n}: hello" for n in range(30))
    known = "{ hello }"
    assert narrow.post(known).status_code == 200

    outcomes: set[tuple[Any, ...]] = set()
    with ThreadPoolExecutor(8) as askers:

        def refused() -> bool:
            texts = [f"query Q{next(numbers)} {{ {fields} {'hello ' * 1_500} }}" for _ in range(100)]
            outcomes.update((answer.status_code, *codes(answer)) for answer in askers.map(narrow.post, texts))
            return (503, "OVERLOADED") in outcomes

        until(refused)

    # Those that are read are too large, which is known only then.
    assert outcomes == {(400, "LIMIT_EXCEEDED"), (503, "OVERLOADED")}
    assert narrow.post(known).status_code == 200
    assert list(narrow.ask(quick()).values()) == ["done"]
