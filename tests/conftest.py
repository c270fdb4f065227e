"""Fixtures of all tests: one real database server for the run, and a database of its own for each test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import documents
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, Database, make_client, open_database
from documents.storage.bucket import open_bucket
from resolvers.activities.active_workers import active_workers
from resolvers.concurrency.garbage_collection import exempt_current_objects, set_server_thresholds
from tests.browser.chromium import Page, chromium
from tests.support.asking import without_comparison
from tests.support.clock import Clock
from tests.support.issuer import LocalIssuer, running_issuer
from tests.support.needs import need
from tests.support.patience import within
from tests.support.running import COMMAND, FAULTY_SERVER, Running, on_database, running
from tests.support.storage import Gate, Place, a_folder, google

HOUSEKEEPING = frozenset({"hello", "isMaster", "ismaster", "saslStart", "saslContinue", "endSessions", "killCursors"})

SLOW_TEST_FILES = (
    "journeys/test_once.py",
    "journeys/test_access.py",
    "graph/clients/worker/test_work.py",
    "graph/server/test_run.py",
    "journeys/test_starting.py",
    "journeys/test_ingesting.py",
    "journeys/test_read_only.py",
    "journeys/test_restore.py",
    "test_tutorials.py",
    "test_bench.py",
    "test_spark.py",
    "graph/engine/plan/test_corrupt.py",
    "journeys/test_access_commands.py",
    "resolvers/activities/test_claim.py",
    "journeys/test_access_writes.py",
    "graph/engine/plan/test_equality.py",
    "journeys/test_database_gone.py",
    "graph/websocket/subscriptions/test_stopping.py",
    "graph/clients/worker/test_crashes.py",
    "graph/clients/worker/test_real_workflows_run.py",
)
"""Files that take longest. Processes that share the tests begin with them, so that none is left alone in the end."""

Seen = list[tuple[str, str]]


@dataclass
class Rounds:
    """Rounds of commands: those that are under way at the same time count as one."""

    count: int = 0
    under_way: set[int] = field(default_factory=set)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let patience scale the time of a test; where processes share the tests, put the longest files first."""
    least = float(config.getini("timeout"))
    for item in items:
        own = item.get_closest_marker("timeout")
        # A test may ask for more than others have, not for less: how long it takes says how busy the machine is.
        seconds = max(least, *own.args) if own else least
        item.add_marker(pytest.mark.timeout(within(seconds)), append=False)
    if hasattr(config, "workerinput"):
        # Stable: tests that were shuffled within their files stay so.
        turns = {Path(__file__).parent / name: turn for turn, name in enumerate(SLOW_TEST_FILES)}
        items.sort(key=lambda item: turns.get(item.path, len(turns)))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what stays for the run, as the server does: a tenth of the time was its."""
    exempt_current_objects()
    set_server_thresholds()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Exempt what a file leaves, as the cached documents: a collection among all that a run keeps takes a second."""
    if nextitem and nextitem.path != item.path:
        exempt_current_objects()


class RoundTrips(CommandListener):
    """Counts the commands that the driver sends: `with round_trips.counting() as seen: ...`."""

    def __init__(self) -> None:
        self._watching: list[Seen] = []
        self._rounds: list[Rounds] = []

    @contextmanager
    def counting(self) -> Iterator[Seen]:
        """A list that grows by (command, collection) with each command; the collection is empty where there is none."""
        seen: Seen = []
        self._watching.append(seen)
        try:
            with without_comparison():
                yield seen
        finally:
            # By identity: two lists that are still empty are equal.
            self._watching = [other for other in self._watching if other is not seen]

    @contextmanager
    def counting_rounds(self) -> Iterator[Rounds]:
        """Counts rounds of commands: those that the driver sends while others are under way add nothing."""
        rounds = Rounds()
        self._rounds.append(rounds)
        try:
            with without_comparison():
                yield rounds
        finally:
            self._rounds = [other for other in self._rounds if other is not rounds]

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in HOUSEKEEPING:
            return
        for rounds in self._rounds:
            rounds.count += not rounds.under_way
            rounds.under_way.add(event.request_id)
        key = "collection" if event.command_name == "getMore" else event.command_name
        target = event.command.get(key)
        for seen in self._watching:
            seen.append((event.command_name, target if isinstance(target, str) else ""))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._end(event.request_id)

    def failed(self, event: CommandFailedEvent) -> None:
        self._end(event.request_id)

    def _end(self, request_id: int) -> None:
        for rounds in self._rounds:
            rounds.under_way.discard(request_id)


@pytest.fixture(scope="session")
def fast_directory() -> Iterator[Path]:
    """A directory in memory where the machine has one, removed after the run."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="provenance-tests-", dir=parent))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def mongod(fast_directory: Path) -> Iterator[EmbeddedMongo]:
    """The one server of the run."""
    with EmbeddedMongo.start(fast_directory / "mongod") as embedded:
        yield embedded


@pytest.fixture(scope="session")
def round_trips() -> RoundTrips:
    """Hears every command of `client`."""
    return RoundTrips()


@pytest.fixture(scope="session")
async def client(mongod: EmbeddedMongo, round_trips: RoundTrips) -> AsyncIterator[Client]:
    """The client of the run, made as the server makes its own."""
    # The loop stands still while tests without one run. A driver that listens for changes of the server takes half a
    # minute of that for silence, and breaks off what is asked next.
    client = make_client(mongod.uri, event_listeners=[round_trips], serverMonitoringMode="poll")
    await client.aconnect()
    # Deleted rows stay for five minutes of snapshots, and every scan of the tests that follow passes over them.
    await client.admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=0)
    # No test's data outlives a crash of this server, so a majority need not wait for the journal: a third of a write.
    config = (await client.admin.command("replSetGetConfig"))["config"]
    without = {"version": config["version"] + 1, "writeConcernMajorityJournalDefault": False}
    await client.admin.command("replSetReconfig", config | without)
    yield client
    await client.close()


@pytest.fixture(scope="session")
def emptied() -> list[str]:
    """Databases that a test has left and that are empty again, their indexes in place."""
    return []


@pytest.fixture
async def database(client: Client, emptied: list[str]) -> AsyncIterator[Database]:
    """An empty database of the test's own with its indexes, to which the documents are bound."""
    async with _an_empty_database(client, emptied) as database:
        yield database


@pytest.fixture(scope="module")
async def shared_database(client: Client, emptied: list[str]) -> AsyncIterator[Database]:
    """A database like `database` that the tests of a module share, none of which may ask for `database`."""
    async with _an_empty_database(client, emptied) as database:
        yield database


@asynccontextmanager
async def _an_empty_database(client: Client, emptied: list[str]) -> AsyncIterator[Database]:
    # Made anew for each test, a run would make 40,000 index files, and the server keeps dropped ones open for minutes.
    active_workers.forget()
    again = bool(emptied)
    name = emptied.pop() if again else f"test_{uuid4().hex}"
    database = client[name]
    if not again or not _is_open(database):
        await open_database(database, indexes=not again)
    yield database
    if await _empty(database):
        emptied.append(name)
    else:
        await client.drop_database(database)


def _is_open(database: Database) -> bool:
    """Whether the documents are bound to it, which takes longer to do than many a test."""
    bound = [document.get_pymongo_collection().database for document in documents.ALL]
    return all(other.client is database.client and other.name == database.name for other in bound)


async def _empty(database: Database) -> bool:
    """Remove every row; whether nothing but the documents' own collections is left."""
    names = await database.list_collection_names()
    await asyncio.gather(*(database[name].delete_many({}) for name in await _collections_with_rows(database, names)))
    return set(names) <= {document.get_collection_name() for document in documents.ALL}


async def _collections_with_rows(database: Database, names: list[str]) -> list[str]:
    """The collections that hold a row, found in one round trip: a test fills a few of the thirty."""

    def named(name: str) -> list[dict[str, Any]]:
        return [{"$limit": 1}, {"$project": {"_id": {"$literal": name}}}]

    others = ({"$unionWith": {"coll": name, "pipeline": named(name)}} for name in names)
    none: dict[str, Any] = {"$match": {"$expr": False}}
    return [row["_id"] async for row in await database["none"].aggregate([none, *others])]


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    """Google's emulator, behind a gate that checks what it does not."""
    with google() as gate:
        yield gate


@pytest.fixture(scope="session")
def folder(fast_directory: Path) -> Iterator[Place]:
    """A folder as a bucket, whose signed URLs are answered."""
    with a_folder(fast_directory / "bucket") as place:
        yield place


@pytest.fixture(autouse=True)
def opened(folder: Place) -> Iterator[None]:
    """Bytes are kept in the folder, unless the test asks for another place."""
    yield from _opened(folder)


@pytest.fixture(params=["folder", "google"])
async def place(request: pytest.FixtureRequest, opened: None) -> AsyncIterator[Place]:
    """The bucket; the test runs once with each kind."""
    if request.param == "folder":
        yield request.getfixturevalue("folder")
        return
    gate: Gate = request.getfixturevalue("gate")
    place = Place(gate.bucket(), gate.url)
    for _ in _opened(place):
        yield place
    await place.bucket.close()


def _opened(place: Place) -> Iterator[None]:
    open_bucket(place.bucket)
    yield
    open_bucket(None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock behind `documents.base.now`, for tests that move it on."""
    clock = Clock()
    monkeypatch.setattr("documents.base.datetime", clock.datetime)
    return clock


@pytest.fixture
def stopped(clock: Clock) -> None:
    """Let `clock` stand still unless it is moved."""
    clock.stop()


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """The demo: the real server on a database of its own, with the sample data."""
    with running(*COMMAND, "demo") as running_server:
        yield running_server


@pytest.fixture(scope="session")
def faulty_server(mongod: EmbeddedMongo) -> Iterator[Running]:
    """The real server with the fields of tests/support/faulty_server.py, on an empty database; pages of lab.example may
    ask it."""
    pages = {"PROVENANCE_ALLOWED_ORIGINS": "https://lab.example", "PROVENANCE_ALLOWED_HEADERS": "X-Tenant, x-lab"}
    env = on_database(mongod.uri, "test_altered") | pages
    with running(*FAULTY_SERVER, env=env) as running_server:
        yield running_server


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[str]:
    """The address of Chromium's debugging interface."""
    async with chromium(need("chromium")) as devtools:
        yield devtools


@pytest.fixture
async def page(browser: str) -> AsyncIterator[Page]:
    """A fresh page of the browser."""
    async with Page(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def one_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalIssuer]:
    """An OIDC issuer on this machine."""
    with running_issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture
def issuer(one_issuer: LocalIssuer) -> LocalIssuer:
    """The issuer, well-mannered and not yet asked for anything."""
    one_issuer.manner, one_issuer.use, one_issuer.silent, one_issuer.key_requests = "good", "sig", False, 0
    return one_issuer
