"""Pub/Sub's messages about a bucket's objects: real requests with real tokens, and responses that Pub/Sub expects."""

import asyncio
import base64
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette

import documents
from documents.catalogue.resource import CodeRepo, MonitorDir
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from graph.app import create_app
from graph.context import MakeContext
from graph.engine.deadline import DatabaseTimeoutMiddleware
from graph.http.storage_events import storage_event_route
from graph.limits import MAX_BODY_BYTES
from graph.schema import schema
from graph.settings import Settings
from resolvers.access.authentication import Authenticator
from resolvers.access.oidc import Issuer
from resolvers.access.viewer import Role, Viewer
from resolvers.file_events.file_event import FileReport, report_files
from resolvers.reads.answer_budget import AnswerLimits
from resolvers.writes.transaction import run_in_transaction
from tests.conftest import RoundTrips
from tests.support.builders import everything_kept, keep
from tests.support.issuer import LocalIssuer
from tests.support.patience import until_awaited, within
from tests.support.running import COMMAND, PLAIN, Running, on_database, running

pytestmark = pytest.mark.usefixtures("database")

AUDIENCE = "https://graph.example/events/storage"
ACCOUNT = "pushes@project.iam.gserviceaccount.com"
WATCHED_SINCE = datetime(2024, 3, 1, tzinfo=UTC)


class Pushing:
    """A server that takes pushes, and the subscription that sends them."""

    def __init__(self, client: httpx2.AsyncClient, issuer: LocalIssuer) -> None:
        self.client = client
        self.issuer = issuer

    def token(self, **claims: Any) -> str:
        usual: dict[str, Any] = {"aud": AUDIENCE, "email": ACCOUNT, "email_verified": True}
        return self.issuer.token(**(usual | claims))

    async def send(self, body: bytes, authorization: str | None = None, **fields: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token()}" if authorization is None else authorization, **fields}
        return await self.client.post("/events/storage", content=body, headers=headers)

    async def push(self, **attributes: str | None) -> int:
        """The status that a notification is answered with."""
        return (await self.send(a_push(**attributes))).status_code


def a_push(**changes: Any) -> bytes:
    """Pub/Sub's message for a written object; a change to None removes an attribute."""
    attributes = {
        "notificationConfig": "projects/_/buckets/bucket/notificationConfigs/1",
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": "bucket",
        "objectId": "in/a.csv",
        "objectGeneration": "1709290000000001",
        "eventTime": "2024-03-02T10:00:00.123456Z",
        **changes,
    }
    payload = {"kind": "storage#object", "name": attributes["objectId"], "size": "17"}
    message = {
        "attributes": {name: value for name, value in attributes.items() if value is not None},
        "data": base64.b64encode(json.dumps(payload).encode()).decode(),
        "messageId": "2070443601311540",
        "publishTime": "2024-03-02T10:00:01Z",
    }
    return json.dumps({"message": message, "subscription": "projects/project/subscriptions/files"}).encode()


@asynccontextmanager
async def serving(issuer: LocalIssuer, *, database_within: float = within()) -> AsyncIterator[Pushing]:
    """A server on a free port of this machine."""
    route = storage_event_route(Issuer(issuer.url, AUDIENCE), ACCOUNT)
    app = create_app(
        schema=schema,
        settings=Settings.model_construct(),
        make_context=MakeContext(Authenticator(), AnswerLimits(1000), AnswerLimits(1000)),
        ready=always,
        extra_routes=[route],
    )
    app.add_middleware(DatabaseTimeoutMiddleware, seconds=database_within)
    async with listening(app) as address, httpx2.AsyncClient(**PLAIN, timeout=within(), base_url=address) as client:
        yield Pushing(client, issuer)


async def always() -> bool:
    return True


@asynccontextmanager
async def listening(app: Starlette) -> AsyncIterator[str]:
    """Serve within this loop, to which the connections to the database belong."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server._serve([listener]))

        async def started() -> bool:
            return server.started

        await until_awaited(started)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def pushing(issuer: LocalIssuer) -> AsyncIterator[Pushing]:
    async with serving(issuer) as server:
        yield server


@pytest.fixture
async def resource(database: Database) -> documents.Resource:
    """A resource that watches gs://bucket/in."""
    code = CodeRepo(monitor_dirs=[MonitorDir(url="gs://bucket/in", watched_since=WATCHED_SINCE)])
    resource = documents.Resource(organisation_ref="organisation_0", code_repo=code)
    await keep(resource)
    return resource


async def files_waited_for() -> list[str]:
    """The files in the causes of all transforms."""
    transforms = await documents.Transform.find({}).to_list()
    return [file for transform in transforms if transform.cause for file in transform.cause.files]


async def test_an_object_that_is_written_makes_a_transform_due(pushing: Pushing, resource: documents.Resource) -> None:
    answer = await pushing.send(a_push())

    assert (answer.status_code, answer.content) == (204, b"")
    (transform,) = await documents.Transform.find({}).to_list()
    assert (transform.resource_ref, transform.status) == (resource.id, "READY")
    assert await files_waited_for() == ["gs://bucket/in/a.csv"]
    (seen,) = await documents.SeenFile.find({}).to_list()
    assert seen.updated_at == datetime(2024, 3, 2, 10, 0, 0, 123000, tzinfo=UTC)


async def test_a_message_that_is_delivered_twenty_times_at_once_counts_once(
    pushing: Pushing, resource: documents.Resource
) -> None:
    statuses = await asyncio.gather(*(pushing.push() for _ in range(20)))
    before = await everything_kept()
    statuses.append(await pushing.push())

    assert statuses == [204] * 21
    assert await files_waited_for() == ["gs://bucket/in/a.csv"]
    assert await everything_kept() == before


@pytest.mark.usefixtures("resource")
async def test_an_older_generation_that_comes_late_changes_nothing(pushing: Pushing) -> None:
    await pushing.push(objectGeneration="10", eventTime="2024-03-03T00:00:00Z")
    before = await everything_kept()

    assert await pushing.push(objectGeneration="9", eventTime="2024-03-02T00:00:00Z") == 204
    assert await everything_kept() == before


@pytest.mark.usefixtures("resource")
async def test_an_object_from_before_its_directory_was_watched_makes_nothing_due(pushing: Pushing) -> None:
    assert await pushing.push(eventTime="2024-02-29T23:59:59Z") == 204
    assert await files_waited_for() == []

    assert await pushing.push(objectGeneration="1709290000000002") == 204
    assert await files_waited_for() == ["gs://bucket/in/a.csv"]


@pytest.mark.usefixtures("resource")
@pytest.mark.parametrize(("event_time", "due"), [(None, True), ("yesterday", True), ("2024-02-01T00:00:00Z", False)])
async def test_without_the_time_of_the_event_that_of_the_message_counts(
    pushing: Pushing, event_time: str | None, due: bool
) -> None:
    assert await pushing.push(eventTime=event_time) == 204

    assert bool(await files_waited_for()) is due


@pytest.mark.usefixtures("resource")
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("in/a b%20#1?.csv", ["gs://bucket/in/a b%20#1?.csv"]),
        ("in/größe/a.csv", ["gs://bucket/in/größe/a.csv"]),
        ("in/a\u00a0\tb.csv", ["gs://bucket/in/a\u00a0\tb.csv"]),
        ("in/\ud800.csv", []),
        ("in/", []),
        ("in", []),
        ("into/a.csv", []),
        ("/in/a.csv", []),
    ],
)
async def test_names_of_objects_are_taken_as_they_are(pushing: Pushing, name: str, files: list[str]) -> None:
    assert await pushing.push(objectId=name) == 204

    assert await files_waited_for() == files


@pytest.mark.usefixtures("resource")
@pytest.mark.parametrize("name", ["part#1.csv", "a b%20.csv", "größe?.csv", "what?token=x.csv", "x" * 1_021])
async def test_a_bucket_and_a_report_tell_of_the_same_object(pushing: Pushing, name: str) -> None:
    await pushing.push(objectId=f"in/{name}")
    before = await everything_kept()
    at = datetime(2024, 3, 2, 10, tzinfo=UTC)
    spellings = [
        f"gs://bucket/in/{name}",
        f"https://storage.googleapis.com/bucket/in/{quote(name)}",
        f"https://www.googleapis.com/storage/v1/b/bucket/o/{quote(f'in/{name}', safe='')}",
    ]

    reported = [FileReport(url=url, generation="1709290000000001", updated_at=at) for url in spellings]
    outcome = await run_in_transaction(lambda session: report_files(session, Viewer(Role.WORKER), files=reported))

    assert outcome == {"due": [], "refused": []}
    assert await everything_kept() == before


@pytest.mark.usefixtures("resource")
@pytest.mark.parametrize("event", ["OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE", "SOMETHING_NEW"])
async def test_what_does_not_write_an_object_is_acknowledged_and_changes_nothing(pushing: Pushing, event: str) -> None:
    await pushing.push()
    before = await everything_kept()

    assert await pushing.push(eventType=event, objectGeneration="1709290000000009") == 204
    assert await everything_kept() == before


@pytest.mark.usefixtures("resource")
async def test_an_object_that_was_deleted_and_comes_back_is_new(pushing: Pushing) -> None:
    await pushing.push()
    await pushing.push(eventType="OBJECT_DELETE")
    await documents.Transform.find({}).update_many({"$set": {"status": "SUCCEEDED"}})

    assert await pushing.push() == 204
    assert await documents.Transform.find({}).count() == 1
    assert await pushing.push(objectGeneration="1709290000000002") == 204
    assert await documents.Transform.find({}).count() == 2


@pytest.mark.usefixtures("resource")
@pytest.mark.parametrize(
    "changes",
    [
        {"eventType": None},
        {"bucketId": None},
        {"objectId": None},
        {"objectGeneration": None},
        {"objectId": ""},
        {"objectId": 5},
        {"objectId": "in/" + "a" * 1_022},
        {"objectId": "in/" + "ö" * 511},
        {"objectId": "in/a\nb.csv"},
        {"bucketId": "bucket/in"},
        {"bucketId": ["bucket"]},
        {"objectGeneration": "-5"},
        {"objectGeneration": "9" * 5_000},
        {"objectGeneration": "٣"},
    ],
)
async def test_a_message_that_can_never_be_used_is_acknowledged(pushing: Pushing, changes: dict[str, Any]) -> None:
    before = await everything_kept()

    assert await pushing.push(**changes) == 204
    assert await everything_kept() == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"message": []}', b'{"kind": "storage#object", "name": "in/a.csv"}', b"[" * 100_000],
)
async def test_what_is_no_wrapped_message_is_refused_so_that_it_is_sent_again_when_that_is_mended(
    pushing: Pushing, body: bytes
) -> None:
    assert (await pushing.send(body)).status_code == 400


async def test_a_body_that_is_too_large_is_refused(pushing: Pushing) -> None:
    assert (await pushing.send(b" " * (MAX_BODY_BYTES + 1))).status_code == 413


async def test_a_body_may_be_packed_with_gzip_and_begin_with_a_byte_order_mark(pushing: Pushing) -> None:
    packed = gzip.compress(b"\xef\xbb\xbf" + a_push(eventType="OBJECT_DELETE"))
    bomb = gzip.compress(bytes(10 * MAX_BODY_BYTES))

    taken = await pushing.send(packed, **{"Content-Encoding": "gzip"})
    too_large = await pushing.send(bomb, **{"Content-Encoding": "gzip"})
    otherwise = await pushing.send(packed, **{"Content-Encoding": "br"})

    assert [answer.status_code for answer in (taken, too_large, otherwise)] == [204, 413, 415]
    assert otherwise.headers["accept-encoding"] == "gzip, identity"


@pytest.mark.usefixtures("resource")
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"aud": "https://graph.example/elsewhere"}, 401),
        ({"iss": "https://accounts.example"}, 401),
        ({"exp": 1_700_000_000}, 401),
        ({"email": "another@project.iam.gserviceaccount.com"}, 403),
        ({"email": None}, 403),
        ({"email_verified": False}, 403),
        ({"email_verified": None}, 403),
        ({"email_verified": "true"}, 403),
    ],
)
async def test_a_token_that_is_not_the_subscriptions_is_refused(
    pushing: Pushing, claims: dict[str, Any], status: int
) -> None:
    before = await everything_kept()

    answer = await pushing.send(a_push(), f"Bearer {pushing.token(**claims)}")

    assert answer.status_code == status
    assert await everything_kept() == before


async def test_without_a_token_that_can_be_verified_nothing_is_read(pushing: Pushing, issuer: LocalIssuer) -> None:
    stolen = issuer.token(
        key=rsa.generate_private_key(public_exponent=65537, key_size=2048), aud=AUDIENCE, email=ACCOUNT
    )

    for authorization in ("", "Bearer", "Basic abc", "Bearer abc", f"Bearer {stolen}"):
        answer = await pushing.send(b"x" * (MAX_BODY_BYTES + 1), authorization)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_while_the_issuer_is_away_a_push_is_put_off(issuer: LocalIssuer) -> None:
    issuer.manner = "failing"
    async with serving(issuer) as pushing:
        answer = await pushing.send(a_push())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.usefixtures("resource")
async def test_while_the_database_does_not_answer_a_push_is_put_off(issuer: LocalIssuer) -> None:
    before = await everything_kept()

    async with serving(issuer, database_within=0.000001) as pushing:
        answer = await pushing.send(a_push())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert await everything_kept() == before


async def test_a_hundred_files_pushed_at_once_make_one_run(
    pushing: Pushing, resource: documents.Resource, round_trips: RoundTrips
) -> None:
    written = [{"objectId": f"in/{n}.csv", "objectGeneration": str(n + 1)} for n in range(100)]

    with round_trips.counting() as seen:
        statuses = await asyncio.gather(*(pushing.push(**one) for one in written))

    assert statuses == [204] * 100
    # One after the other, each file would take a transaction of five commands.
    assert len(seen) < 3 * len(written)
    assert sorted(await files_waited_for()) == sorted(f"gs://bucket/in/{n}.csv" for n in range(100))
    assert await documents.Transform.find({}).count() == 1
    changed = await documents.Resource.get(resource.id)
    assert changed is not None
    assert changed.code_repo is not None
    assert changed.code_repo.monitor_dirs[0].pending_files == 100


def test_a_server_that_is_not_told_whose_pushes_to_take_has_no_such_address(server: Running) -> None:
    answer = server.client.post(f"{server.url}/events/storage", content=a_push())

    assert answer.status_code == 404


def test_a_server_that_is_told_takes_pushes_of_google_only(mongod: EmbeddedMongo) -> None:
    events = {"PROVENANCE_EVENTS_AUDIENCE": AUDIENCE, "PROVENANCE_EVENTS_ACCOUNT": ACCOUNT}
    with running(*COMMAND, "serve", env=on_database(mongod.uri, "test_events") | events) as server:
        address = f"{server.url}/events/storage"
        refused = server.client.post(address, content=a_push())
        admins = server.client.post(address, content=a_push(), headers={"Authorization": f"Bearer {server.token}"})
        read = server.get("/events/storage")

    assert [refused.status_code, admins.status_code, read.status_code] == [401, 401, 405]
