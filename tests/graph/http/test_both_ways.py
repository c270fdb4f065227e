"""The short way of a POST that has come whole does all that the layers do for one that has not."""

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from graph.app import Application
from tests.support.connections import Connection, a_post, an_app, open_connection, serve
from tests.support.patience import until
from tests.support.running import ADMIN_TOKEN, GRAPHQL_JSON, Running

POINT = {"query": "query($id:ID!){node(id:$id){id}}", "variables": {"id": "organisation_6b0000000000000000000001"}}
MALFORMED_ID = "X-Request-Id: no id"


@dataclass(frozen=True)
class Kind:
    """A request."""

    asked: Any
    fields: tuple[str, ...] = ()
    version: str = "1.1"
    path: str = "/graphql"
    content_type: str = "application/json"

    def raw(self, id: str, *fields: str) -> bytes:
        """The request as it is sent."""
        body = self.asked if isinstance(self.asked, bytes) else json.dumps(self.asked).encode()
        own = () if MALFORMED_ID in self.fields else (f"X-Request-Id: {id}",)
        raw = a_post(body, *self.fields, *own, *fields, version=self.version)
        raw = raw.replace(b"application/json", self.content_type.encode(), 1)
        return raw.replace(b"POST /graphql ", f"POST {self.path} ".encode(), 1)


def kind(asked: Any = "{hello}", *fields: str, **options: Any) -> Kind:
    return Kind({"query": asked} if isinstance(asked, str) else asked, fields, **options)


KINDS = {
    "a point": kind(POINT),
    "a point that is signed in": kind(POINT, f"Authorization: Bearer {ADMIN_TOKEN}"),
    "a page": kind("{organisations{nodes{id name}}}"),
    "a field of ours": kind(),
    "a mutation": kind("mutation{touch}"),
    "an error of a field": kind("{thing{name broken}}"),
    "a refusal of a field": kind("{missing refused}"),
    "the schema": kind("{__schema{queryType{name}}}"),
    "a large answer": kind(
        {"query": "query($v:JSON!){echo(value:$v)}", "variables": {"v": "a" * 60_000}}, f"Accept: {GRAPHQL_JSON}"
    ),
    "its cost": kind({"query": "{organisations{nodes{id}}}", "extensions": {"cost": True}}),
    "no document": kind("{"),
    "no document in the new media type": kind("{", f"Accept: {GRAPHQL_JSON}"),
    "an invalid document": kind("{nowhere}", f"Accept: {GRAPHQL_JSON}"),
    "a wrong variable": kind({"query": "query($n:Int!){number(value:$n)}", "variables": {"n": "x"}}),
    "a subscription": kind("subscription{count(to:1)}"),
    "no JSON": kind(b"{"),
    "a batch": kind(b"[]"),
    "nothing": kind(b""),
    "another charset": kind(content_type="application/json; charset=utf-16"),
    "another content type": kind(content_type="text/plain"),
    "a packed body": kind(gzip.compress(b'{"query":"{hello}"}', mtime=0), "Content-Encoding: gzip"),
    "a packed body that is not": kind("{hello}", "Content-Encoding: gzip"),
    "a body that is packed otherwise": kind("{hello}", "Content-Encoding: br"),
    "a byte order mark": kind(b'\xef\xbb\xbf{"query":"{hello}"}'),
    "another media type": kind("{hello}", "Accept: image/png"),
    "the new media type": kind("{hello}", f"Accept: {GRAPHQL_JSON}"),
    "media types in two lines": kind("{hello}", f"Accept: {GRAPHQL_JSON}", "Accept: application/json;q=0.5"),
    "a browser": kind("{hello}", "Accept: text/html"),
    "an allowed origin": kind("{hello}", "Origin: https://lab.example"),
    "another origin": kind("{hello}", "Origin: https://evil.example"),
    "an allowed origin and a bad token": kind("{hello}", "Origin: https://lab.example", "Authorization: Bearer pg_no"),
    "a bad token": kind("{hello}", "Authorization: Bearer pg_bad"),
    "no token": kind("{hello}", "Authorization: Basic YTpi"),
    "an id that cannot be one": kind("{hello}", MALFORMED_ID),
    "two tokens": kind("{hello}", "Authorization: Bearer a", "Authorization: Bearer b"),
    "the older protocol": kind(version="1.0"),
    "the older protocol with an open end": kind("{hello}", "Connection: keep-alive", version="1.0"),
    "the end of the connection": kind("{hello}", "Connection: close"),
    "an open connection": kind("{hello}", "Connection: keep-alive"),
    "another protocol": kind("{hello}", "Connection: Upgrade", "Upgrade: h2c"),
    "a wait": kind("{hello}", "Expect: 100-continue"),
    "a query in the address": kind(path="/graphql?query=%7B__typename%7D"),
    "an escaped address": kind(path="/%67raphql"),
    "an absolute address": kind(path="http://there/graphql"),
    "a slash too many": kind(path="/graphql/"),
    "another address": kind(path="/nowhere"),
    "an address that is got": kind(path="/livez"),
}
EARLY = (
    "another charset",
    "another content type",
    "a body that is packed otherwise",
    "another media type",
    "a browser",
    "two tokens",
    "a slash too many",
    "another address",
    "an address that is got",
)
"""Requests that are answered before their body has arrived, so that the connection is closed if it arrives later."""


@dataclass
class Observed:
    """The observed outcome of a request."""

    status: bytes
    headers: dict[str, str]
    body: bytes
    goes_on: bool
    counted: dict[str, float]
    line: str


Answered = tuple[bytes, dict[str, str], bytes, bool]
"""The parts of an answer, and whether another can follow it."""
Ask = Callable[[str, Kind, str], Answered]


def at_once(url: str, request: Kind, id: str) -> Answered:
    with open_connection(url) as connection:
        connection.write(request.raw(id))
        return *connection.read(), goes_on(connection)


def in_pieces(url: str, request: Kind, id: str) -> Answered:
    raw = request.raw(id)
    # Where there is no body its head ends later.
    cut = raw.index(b"\r\n\r\n") + (4 if not raw.endswith(b"\r\n\r\n") else 2)
    with open_connection(url) as connection:
        connection.write(raw[:cut])
        told = "Expect: 100-continue" in request.fields and connection.read()[0]
        assert told in (False, b"HTTP/1.1 100 Continue")
        if connection.is_silent():
            connection.write(raw[cut:])
        return *connection.read(), goes_on(connection)


def by_a_proxy(url: str, request: Kind, id: str) -> Answered:
    with open_connection(url) as connection:
        connection.write(request.raw(id, "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: http"))
        return *connection.read(), goes_on(connection)


def in_its_turn(url: str, request: Kind, id: str) -> Answered:
    """After the answer to a request that it was sent together with."""
    with open_connection(url) as connection:
        connection.write(b"GET /readyz HTTP/1.1\r\nHost: here\r\n\r\n" + request.raw(id))
        connection.read()
        return *connection.read(), goes_on(connection)


def goes_on(connection: Connection) -> bool:
    """Whether the connection can be used again."""
    try:
        connection.write(b"GET /readyz HTTP/1.1\r\nHost: here\r\n\r\n")
        return bool(connection.read()[0])
    except ConnectionError:
        return False


def observed(way: Ask, server: "Target", request: Kind) -> Observed:
    id, before = f"canary-{uuid4().hex}", server.counted()
    status, headers, body, goes_on = way(server.url, request, id)
    counted = {name: value - before[name] for name, value in server.counted().items() if value != before[name]}
    given = headers.pop("x-request-id")
    assert given == id or MALFORMED_ID in request.fields
    headers.pop("date")
    return Observed(
        status,
        headers,
        body.replace(given.encode(), b"<id>"),
        goes_on,
        counted,
        re.sub(r"^\S+|\bms=\S+|\x1b\[\d*m", "", server.line(given)).replace(given, "<id>"),
    )


NOT_COMPARED = ("/metrics", "/readyz", "provenance_event_loop_lag", "provenance_database_round_trips")


@dataclass
class Target:
    """A server that is asked, and what it counts and logs."""

    url: str
    get: Callable[[str], str]
    log: Callable[[], str] | None = None

    def counted(self) -> dict[str, float]:
        """The server's counters, without those of metrics, of readiness, and of what time alone moves."""
        rows = re.findall(r"^(provenance_\S*(?:_total|_count)\S*) (\S+)$", self.get("/metrics"), re.MULTILINE)
        named = {name: float(n) for name, n in rows if not any(part in name for part in NOT_COMPARED)}
        return defaultdict(float, named)

    def line(self, id: str) -> str:
        """The server's log line for an answer."""
        if self.log is None:
            return ""
        log = self.log
        until(lambda: any("answered" in line for line in log().splitlines() if id in line), shown=log)
        (line,) = [line for line in log().splitlines() if id in line and "answered" in line]
        return line


@pytest.fixture
def target(faulty_server: Running) -> Target:
    return Target(faulty_server.url, lambda path: faulty_server.get(path).text, lambda: faulty_server.log)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_request_is_answered_the_same_in_all_ways(target: Target, name: str) -> None:
    request = KINDS[name]
    short = observed(at_once, target, request)

    assert observed(by_a_proxy, target, request) == short
    assert observed(in_its_turn, target, request) == short
    pieces = observed(in_pieces, target, request)
    if name in EARLY:
        assert (pieces.headers.pop("connection"), pieces.goes_on) == ("close", False)
        short.headers.pop("connection", None)
        short.goes_on = False
    assert pieces == short
    assert sum(n for counter, n in short.counted.items() if counter.startswith("provenance_http_request_seconds")) == 1


@pytest.fixture(params=["draining", "unready"])
def closed(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A server that takes nothing new."""
    app: Application = an_app()
    with serve(app) as url, open_connection(url) as connection:
        if request.param == "draining":
            app.draining = True
        else:
            app.unready = "Run migrate."

        def get(path: str) -> str:
            connection.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            return connection.read()[2].decode()

        yield Target(url, get)


@pytest.mark.parametrize("name", ["a point", "no document", "a bad token"])
def test_a_server_that_takes_nothing_says_so_in_all_ways(closed: Target, name: str) -> None:
    request = KINDS[name]
    short = observed(at_once, closed, request)

    assert (short.status, short.headers["retry-after"]) == (b"HTTP/1.1 503 Service Unavailable", "1")
    assert observed(by_a_proxy, closed, request) == short
    assert observed(in_its_turn, closed, request) == short
    pieces = observed(in_pieces, closed, request)
    assert (pieces.headers.pop("connection"), pieces.goes_on) == ("close", False)
    short.goes_on = False
    assert pieces == short
