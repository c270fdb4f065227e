"""Galaxy servers for tests: their reports, and the requests that their uploader makes, byte for byte."""

import hashlib
import json
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx2

from tests.support.reports import JOB, report
from tests.support.running import Running

BOUNDARY = "92bf684dccc4394b51c087c86e9f8ac3"
CREATE = """mutation ($input: CreateInstanceInput!) { createInstance(input: $input) {
  instance { id uuid } apiKey userErrors { code message path } } }"""

_numbers = count(1_600_000_000)


def a_report(*rows: str) -> bytes:
    """The bytes of a report that no other is equal to."""
    return report(jobs=[*(rows or (JOB,)), f"{next(_numbers)}\tcat1\t1.0.0\tok\t2019-01-01 18:35:08"])


def an_identifier() -> str:
    """An identifier such as a server gives a new report."""
    return f"{next(_numbers)}.5547628"


def metadata(identifier: str, content: bytes, **fields: Any) -> bytes:
    """The metadata that an exporter of version 3 writes beside these bytes; a field that is None is left out."""
    said = {
        "version": 3,
        "galaxy_version": "26.1",
        "generated": identifier,
        "report_hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "metrics": {"_times": [["init_start", 0.0]]},
        "users": {"active": 76, "total": 75},
        "jobs": {"ok": 2},
        **fields,
    }
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


def form(identifier: str, meta: bytes, data: bytes, boundary: str = BOUNDARY) -> bytes:
    """The body that the uploader sends."""
    parts = [
        ('name="identifier"', identifier.encode()),
        (f'name="meta"; filename="{identifier}.json"', meta),
        (f'name="data"; filename="{identifier}.tar.gz"', data),
    ]
    return multipart(parts, boundary)


def multipart(parts: list[tuple[str, bytes]], boundary: str = BOUNDARY) -> bytes:
    """A multipart body of parts with these dispositions."""
    heads = (f"--{boundary}\r\nContent-Disposition: form-data; {named}\r\n\r\n".encode() for named, _ in parts)
    written = b"".join(head + content + b"\r\n" for head, (_, content) in zip(heads, parts, strict=True))
    return written + f"--{boundary}--\r\n".encode()


@dataclass
class Galaxy:
    """A server that was registered."""

    server: Running
    id: str
    uuid: str
    key: str
    prefix: str = ""

    @classmethod
    def new(cls, server: Running, **fields: Any) -> "Galaxy":
        """One that nobody knew before."""
        given = {"url": "https://galaxy.example", "title": "A Galaxy", **fields}
        payload = server.ask(CREATE, {"input": given})["createInstance"]
        assert payload["userErrors"] == []
        return cls(server, payload["instance"]["id"], payload["instance"]["uuid"], payload["apiKey"])

    @property
    def headers(self) -> dict[str, str]:
        return {"AUTHORIZATION": f"{self.uuid}:{self.key}"}

    def whoami(self, **headers: str) -> httpx2.Response:
        return self.server.client.post(f"{self.server.url}{self.prefix}/api/whoami", headers=self.headers | headers)

    def post(self, body: Any, boundary: str = BOUNDARY, **headers: str) -> httpx2.Response:
        """The answer to a body."""
        sent = {**self.headers, "Content-Type": f"multipart/form-data; boundary={boundary}", **headers}
        return self.server.client.post(f"{self.server.url}{self.prefix}/api/v2/upload", content=body, headers=sent)

    def upload(self, content: bytes, identifier: str | None = None, **fields: Any) -> httpx2.Response:
        """The answer to a report of these bytes, with these fields in its metadata."""
        called = identifier or an_identifier()
        return self.post(form(called, metadata(called, content, **fields), content))

    def archives(self, selected: str = "identifier sha256 quarantine") -> list[Any]:
        """Its archives, oldest first."""
        query = f"query ($id: ID!) {{ instance(id: $id) {{ archives(first: 100) {{ nodes {{ {selected} }} }} }} }}"
        found = self.server.ask(query, {"id": self.id})
        nodes: list[Any] = found["instance"]["archives"]["nodes"]
        return nodes

    def objects(self) -> list[bytes]:
        """The bytes of all archives of the server, of whomever."""
        folder = self.server.directory / "data/bucket/objects/archives"
        return [one.read_bytes() for one in folder.rglob("*") if one.is_file()] if folder.exists() else []
