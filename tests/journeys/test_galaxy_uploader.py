"""The requests of the uploader that Galaxy servers run, as they were captured, with reports of our own in them."""

import ast
import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.support.galaxies import Galaxy, form, metadata
from tests.support.needs import need_shared_data
from tests.support.patience import within
from tests.support.running import Running


@pytest.fixture
def galaxy(server: Running) -> Galaxy:
    return Galaxy.new(server)


def captured() -> list[tuple[str, dict[str, str], bytes]]:
    """The captured requests: first line, headers in order, and how the body begins."""
    text = (need_shared_data() / "grt/uploader_http_capture.txt").read_text()
    requests = []
    for request in re.split(r"^--- \d+ bytes\n", text, flags=re.MULTILINE)[:-1]:
        top, _, body = request.partition("\n\n")
        first, *headers = top.split("\n")
        named = dict(line.split(": ", 1) for line in headers)
        requests.append((first, named, ast.literal_eval(body.strip())))
    return requests


def test_our_own_requests_are_those_of_the_real_uploader_byte_for_byte() -> None:
    folder = need_shared_data() / "grt/exporter_v3/instance_small"
    compared = 0

    for _, headers, beginning in captured():
        boundary = headers.get("Content-Type", "").partition("boundary=")[2]
        identifier = beginning.decode().split("\r\n")[3] if boundary else ""
        if (folder / f"{identifier}.json").is_file():
            meta, data = ((folder / f"{identifier}{end}").read_bytes() for end in (".json", ".tar.gz"))
            body = form(identifier, meta, data, boundary)
            assert body.startswith(beginning)
            assert len(body) == int(headers["Content-Length"])
            compared += 1

    assert compared == 2


def test_the_captured_requests_are_accepted_and_a_second_run_sends_nothing_new(galaxy: Galaxy) -> None:
    for run in range(2):
        for first, headers, beginning in captured():
            replay(galaxy, first, headers, beginning)
        assert len(galaxy.archives()) == 3, run
    assert sorted(galaxy.whoami().json()["uploaded_reports"]) == sorted(one["identifier"] for one in galaxy.archives())
    assert {one["quarantine"] for one in galaxy.archives()} == {None}


def replay(galaxy: Galaxy, first: str, headers: dict[str, str], beginning: bytes) -> None:
    """Send a captured request with a report of our own in it, over a plain socket."""
    boundary = headers.get("Content-Type", "").partition("boundary=")[2]
    body = b""
    if boundary:
        identifier = beginning.decode().split("\r\n")[3]
        content = b"the bytes of " + identifier.encode()
        body = form(identifier, metadata(identifier, content), content, boundary)
    ours = headers | {
        "Host": urlsplit(galaxy.server.url).netloc,
        "AUTHORIZATION": f"{galaxy.uuid}:{galaxy.key}",
        "Content-Length": str(len(body)),
    }
    lines = "\r\n".join([first, *(f"{name}: {value}" for name, value in ours.items()), "", ""])
    url = urlsplit(galaxy.server.url)
    with socket.create_connection((url.hostname, url.port), timeout=within()) as connection:
        connection.sendall(lines.encode() + body)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer


def test_real_and_broken_reports_are_taken_or_refused_for_their_reasons(galaxy: Galaxy) -> None:
    folder = need_shared_data() / "grt"
    good = [*(folder / "real_v1").glob("*.json"), *(folder / "synthetic/good").glob("*.json")]
    assert len(good) >= 7
    wrong = {"1560000001.5": 400, "1560000006.5": 202}

    for file in good:
        sent = galaxy.post(form(file.stem, file.read_bytes(), file.with_name(f"{file.stem}.tar.gz").read_bytes()))
        assert sent.status_code == 200, sent.text
    for identifier, status in wrong.items():
        meta, data = ((folder / f"synthetic/bad/{identifier}{end}").read_bytes() for end in (".json", ".tar.gz"))
        sent = galaxy.post(form(identifier, meta, data))
        assert sent.status_code == status, sent.text

    kept = galaxy.archives("identifier quarantine declaredJobs { state count }")
    assert sorted(one["identifier"] for one in kept) == sorted([*(one.stem for one in good), "1560000006.5"])
    assert sum(one["quarantine"] is not None for one in kept) == 1
