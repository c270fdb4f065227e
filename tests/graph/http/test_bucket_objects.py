"""The folder's signed URLs at the real server: what they answer, what they refuse, and what is not logged."""

import hashlib
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.patience import until, within
from tests.support.running import COMMAND, Running, command, environment, running
from tests.support.storage import LAB, Gate

CREATE = """mutation ($input: CreateUploadInput!) { createUpload(input: $input) {
  upload { id target { url method headers } } userErrors { message } } }"""


def announced(server: Running, content: bytes, **fields: Any) -> dict[str, Any]:
    """The upload of these bytes."""
    given = {
        "purpose": "OUTPUT",
        "fileName": "data.csv",
        "mediaType": "text/csv",
        "sizeBytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **fields,
    }
    payload = server.ask(CREATE, {"input": given})["createUpload"]
    assert payload["userErrors"] == []
    upload: dict[str, Any] = payload["upload"]
    return upload


def put(server: Running, upload: dict[str, Any], content: Any, **headers: str) -> httpx2.Response:
    return server.client.put(
        upload["target"]["url"], content=content, headers={**upload["target"]["headers"], **headers}
    )


def test_urls_lead_to_where_the_client_reached_the_server(server: Running) -> None:
    body = {"query": CREATE, "variables": {"input": {
        "purpose": "OUTPUT", "fileName": "a", "mediaType": "text/csv", "sizeBytes": 1, "sha256": "0" * 64,
    }}}  # fmt: skip
    headers = {"authorization": f"Bearer {server.token}", "host": "lab.example:8443", "x-forwarded-proto": "https"}

    near = announced(server, b"a")["target"]["url"]
    far = server.client.post(f"{server.url}/graphql", json=body, headers=headers).json()

    assert near.startswith(f"{server.url}/objects/outputs/upload_")
    assert far["data"]["createUpload"]["upload"]["target"]["url"].startswith("https://lab.example:8443/objects/")


def test_more_than_a_request_may_hold_goes_through_an_upload(server: Running) -> None:
    content = bytes(range(256)) * 20_000
    upload = announced(server, content)

    stored = put(server, upload, iter([content[:3_000_000], content[3_000_000:]]))
    again = put(server, upload, content)

    assert (stored.status_code, again.status_code) == (201, 412)
    assert stored.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"1234", {}, 400),
        (b"123456", {}, 400),
        (iter([b"1234", b"567"]), {}, 413),
        (iter([b"1234"]), {}, 400),
        (b"12345", {"content-encoding": "gzip"}, 415),
    ],
    ids=["short", "long", "long without a length", "short without a length", "packed"],
)
def test_other_bytes_than_were_announced_are_refused_and_the_url_still_works(
    server: Running, content: Any, headers: dict[str, str], status: int
) -> None:
    upload = announced(server, b"12345")

    refused = put(server, upload, content, **headers)

    assert refused.status_code == status
    assert refused.json()["errors"][0]["message"]
    assert refused.headers.get("accept-encoding") == ("identity" if status == 415 else None)
    assert put(server, upload, b"12345").status_code == 201


def test_a_connection_that_breaks_leaves_nothing(server: Running) -> None:
    upload = announced(server, b"x" * 1000)
    url = urlsplit(upload["target"]["url"])

    with socket.create_connection((url.hostname, url.port)) as broken:
        broken.sendall(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf".encode())

    assert put(server, upload, b"x" * 1000).status_code == 201
    until(lambda: not list((server.directory / "data/bucket/partial").iterdir()))


def test_a_signature_reaches_no_log(server: Running) -> None:
    upload = announced(server, b"logged")
    put(server, upload, b"logged")
    signature = upload["target"]["url"].rpartition("signature=")[2]

    path = urlsplit(upload["target"]["url"]).path
    assert len(signature) == 64
    until(lambda: path in server.log)
    assert signature not in server.log
    assert "signature=" not in server.log


@pytest.mark.parametrize(
    "path",
    [
        "/objects/",
        "/objects/../signing.key",
        "/objects/..%2f..%2fsigning.key",
        "/objects/%2e%2e/signing.key",
        "/objects//etc/passwd",
        "/objects/%00",
        "/objects/%ff%fe",
        "/objects/%F0%9F%9C%81",
        "/objects/outputs/" + "x" * 5000,
        "/objects/outputs/x?signature=%ff&expires=9999999999",
        "/objects/outputs/x?signature=" + "0" * 64 + "&expires=99999999999999999999",
        "/objects/outputs/x?" + "&".join(f"a{n}=1" for n in range(1000)),
        "/objects/outputs/x?signature=a&signature=b",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_hostile_address_is_refused_and_touches_nothing(server: Running, method: str, path: str) -> None:
    announced(server, b"so that there is a key")
    url = urlsplit(server.url)

    with socket.create_connection((url.hostname, url.port), timeout=within()) as raw:
        raw.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))

    assert answer.split(b" ")[1] in (b"403", b"404", b"400"), answer
    assert (server.directory / "data/bucket/signing.key").read_text() not in answer.decode(errors="replace")


def test_other_methods_are_not_served(server: Running) -> None:
    upload = announced(server, b"12345")

    for method in ("POST", "DELETE", "PATCH", "OPTIONS"):
        assert server.client.request(method, upload["target"]["url"]).status_code == 405


def test_with_a_bucket_of_google_the_bytes_never_pass_through_the_server(gate: Gate) -> None:
    env = {"STORAGE_EMULATOR_HOST": gate.emulator, "PROVENANCE_BUCKET": f"gs://{LAB}/of-a-server"}
    with running(*COMMAND, "serve", env=env) as server:
        upload = announced(server, b"bytes")
        stored = put(server, upload, b"bytes")
        on_our_side = server.client.put(f"{server.url}/objects/outputs/a", content=b"bytes")

    assert upload["target"]["url"].startswith(f"{gate.emulator}/{LAB}/of-a-server/outputs/{upload['id']}?X-Goog-")
    assert (stored.status_code, on_our_side.status_code) == (200, 404)
    assert upload["target"]["headers"] == {
        "Content-Type": "text/csv",
        "x-goog-if-generation-match": "0",
        "x-goog-content-length-range": "5,5",
    }


def test_a_bucket_that_cannot_be_used_stops_the_start(gate: Gate, tmp_path: Any) -> None:
    env = {"STORAGE_EMULATOR_HOST": gate.emulator, "PROVENANCE_BUCKET": "gs://nowhere"}

    done = command("serve", env=environment(tmp_path, env))

    assert done.returncode == 1
    assert done.stderr.endswith("PROVENANCE_BUCKET cannot be used. There is no bucket nowhere.\n")


def test_what_was_uploaded_is_there_after_a_restart(tmp_path: Any) -> None:
    with running(*COMMAND, "serve", directory=tmp_path) as server:
        upload = announced(server, b"kept")
    with running(*COMMAND, "serve", directory=tmp_path) as server:
        target = upload["target"]["url"].partition("/objects/")[2]

        stored = server.client.put(f"{server.url}/objects/{target}", content=b"kept")

    assert stored.status_code == 201
    assert upload["target"]["headers"] == {"Content-Type": "text/csv", "If-None-Match": "*"}
