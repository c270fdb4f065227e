"""The uploader that Galaxy servers run, at the real server."""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from graph.limits import REQUEST_TIMEOUT
from tests.support.galaxies import BOUNDARY, Galaxy, a_report, an_identifier, form, metadata, multipart
from tests.support.patience import until, within
from tests.support.running import PLAIN, Running

UNKNOWN_UUID = "ffffffff-ffff-4fff-8fff-ffffffffffff"


@pytest.fixture
def galaxy(server: Running) -> Galaxy:
    return Galaxy.new(server)


def test_an_instance_is_told_what_it_has_sent(galaxy: Galaxy) -> None:
    content, identifier = a_report(), an_identifier()

    before = galaxy.whoami()
    sent = galaxy.upload(content, identifier)
    after = galaxy.whoami()

    assert before.json() == {"galaxy": "A Galaxy", "uploaded_reports": [], "reports": {}}
    assert (before.status_code, sent.status_code, after.status_code) == (200, 200, 200)
    assert after.json()["uploaded_reports"] == [identifier]
    assert after.json()["reports"] == {identifier: f"sha256:{hashlib.sha256(content).hexdigest()}"}
    assert content in galaxy.objects()


def test_what_a_report_says_of_itself_is_read_and_its_metadata_kept_as_they_came(galaxy: Galaxy) -> None:
    content, identifier = a_report(), "1795227116.5547628"
    galaxy.upload(content, identifier, jobs={"ok": 2**40, "deleted_new": 0})

    (archive,) = galaxy.archives(
        "identifier schemaVersion generatedAt sha256 sizeBytes metadata declaredJobs { state count } activeUsers "
        "totalUsers quarantine supersededBy { id }"
    )

    assert archive == {
        "identifier": identifier,
        "schemaVersion": 3,
        "generatedAt": "2026-11-21T02:11:56.554Z",
        "sha256": hashlib.sha256(content).hexdigest(),
        "sizeBytes": str(len(content)),
        "metadata": json.loads(metadata(identifier, content, jobs={"ok": 2**40, "deleted_new": 0})),
        "declaredJobs": [{"state": "ok", "count": str(2**40)}, {"state": "deleted_new", "count": "0"}],
        "activeUsers": 76,
        "totalUsers": 75,
        "quarantine": None,
        "supersededBy": None,
    }


@pytest.mark.parametrize("prefix", ["", "/grt", "/grt-admin"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_addresses_that_are_set_on_servers_answer_without_a_redirect(
    galaxy: Galaxy, prefix: str, slash: str
) -> None:
    address = f"{galaxy.server.url}{prefix}/api/whoami{slash}"

    answer = galaxy.server.client.post(address, headers=galaxy.headers)
    other = galaxy.server.client.get(address, headers=galaxy.headers)

    assert (answer.status_code, other.status_code) == (200, 405)


@pytest.mark.parametrize(
    "sent",
    ["", ":", "x", "{uuid}", "{uuid}:", "{uuid}:wrong", ":{key}", "{other}:{key}", "Bearer {key}", "{key}:{uuid}",
     "{uuid}:{key}x", "{uuid}:" + "x" * 5000, "{uuid}:é", "urn:uuid:{uuid}:{key}", "{plain}:{key}"],
)  # fmt: skip
def test_bad_credentials_are_401_with_json_whatever_is_bad(galaxy: Galaxy, sent: str) -> None:
    plain = galaxy.uuid.replace("-", "")
    value = sent.format(uuid=galaxy.uuid, key=galaxy.key, other=UNKNOWN_UUID, plain=plain)
    content = a_report()
    headers: dict[str, Any] = {"AUTHORIZATION": value.encode()}

    answers = [
        galaxy.whoami(**headers),
        galaxy.post(form("1.5", metadata("1.5", content), content), **headers),
    ]

    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["state"] == "error"
        assert answer.json()["message"].startswith("Bad authentication credentials")
    assert galaxy.archives() == []
    assert content not in galaxy.objects()


def test_a_key_is_worth_nothing_once_another_was_given(galaxy: Galaxy) -> None:
    rotate = "mutation ($id: ID!) { rotateInstanceKey(input: {id: $id}) { apiKey userErrors { message } } }"

    fresh = galaxy.server.ask(rotate, {"id": galaxy.id})["rotateInstanceKey"]["apiKey"]
    old = galaxy.whoami().status_code
    galaxy.key = fresh

    assert (old, galaxy.whoami().status_code) == (401, 200)


def test_a_key_authorises_uploads_for_its_own_instance_alone(galaxy: Galaxy, server: Running) -> None:
    other = Galaxy.new(server)
    content = a_report()
    galaxy.upload(content, "1600000000.5")

    other.upload(content, "1600000000.5")
    asked = server.client.post(f"{server.url}/graphql", json={"query": "{ viewer { role } }"}, headers=galaxy.headers)

    assert len(galaxy.archives()) == len(other.archives()) == 1
    assert asked.status_code == 401


def test_a_wrong_hash_is_refused_and_leaves_nothing(galaxy: Galaxy) -> None:
    content = a_report()

    refused = galaxy.upload(content, report_hash=f"sha256:{'0' * 64}")

    assert refused.status_code == 400
    assert hashlib.sha256(content).hexdigest() in refused.json()["message"]
    assert galaxy.archives() == []
    assert content not in galaxy.objects()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"version": 99}, "The version of its metadata is 99; 1, 2 and 3 are known."),
        ({"version": "3"}, 'The version of its metadata is "3"; 1, 2 and 3 are known.'),
        ({"version": True}, "The version of its metadata is true; 1, 2 and 3 are known."),
        ({"version": 99, "report_hash": {"blake3": "x"}}, "The version of its metadata is 99; 1, 2 and 3 are known."),
        ({"generated": "1.5"}, 'generated is "1.5", not the identifier 1600000000.25.'),
        ({"report_hash": None}, "report_hash is missing."),
        ({"users": None}, "users must be an object, not null."),
        ({"users": {"active": -1, "total": 1}}, "users.active must be a whole number from 0 to 2147483647, not -1."),
        ({"users": {"active": 1, "total": 1.5}}, "users.total must be a whole number from 0 to 2147483647, not 1.5."),
        ({"jobs": {"ok": -2}}, "jobs.ok must be a whole number from 0 to 9223372036854775807, not -2."),
        ({"jobs": {"ok": 10**40}}, f"jobs.ok must be a whole number from 0 to 9223372036854775807, not {10**40}."),
        ({"jobs": [1]}, "jobs must be an object of at most 100 states, not [1]."),
        ({"jobs": {"\ud800": 1}}, 'jobs has the state "\\ud800"; states have 1 to 100 characters.'),
        ({"version": 1, "generated": 1e300}, "generated is 1e+300, which is not a time in seconds since 1970."),
    ],
    ids=str,
)  # fmt: skip
def test_what_this_release_cannot_read_is_kept_with_the_reason(
    galaxy: Galaxy, fields: dict[str, Any], reason: str
) -> None:
    content = a_report()

    first = galaxy.upload(content, "1600000000.25", **fields)
    again = galaxy.upload(content, "1600000000.25", **fields)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["message"].endswith(reason)
    assert [one["quarantine"] for one in galaxy.archives()] == [reason]
    assert content in galaxy.objects()
    assert galaxy.whoami().json()["uploaded_reports"] == ["1600000000.25"]


def test_the_older_form_of_metadata_is_taken_too(galaxy: Galaxy) -> None:
    tools = [{"id": "cat1", "version": "1.0.0", "tool_shed_repository": {"name": "cat"}}]

    sent = galaxy.upload(a_report(), "0", version=1, generated=1500541683, report_hash=None, tools=tools)

    assert sent.status_code == 200
    assert galaxy.archives("schemaVersion generatedAt quarantine") == [
        {"schemaVersion": 1, "generatedAt": "2017-07-20T09:08:03.000Z", "quarantine": None}
    ]


def test_the_same_report_again_answers_as_before_and_stores_nothing(galaxy: Galaxy) -> None:
    content, identifier = a_report(), an_identifier()

    first, second = galaxy.upload(content, identifier), galaxy.upload(content, identifier)

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert len(galaxy.archives()) == 1
    assert galaxy.objects().count(content) == 1


def test_the_same_report_many_times_at_once_is_stored_once(galaxy: Galaxy) -> None:
    content, identifier = a_report(), an_identifier()
    body = form(identifier, metadata(identifier, content), content)
    headers = {**galaxy.headers, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

    async def together() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(**PLAIN, timeout=within()) as client:
            address = f"{galaxy.server.url}/api/v2/upload"
            return await asyncio.gather(*(client.post(address, content=body, headers=headers) for _ in range(8)))

    answers = asyncio.run(together())

    assert {(one.status_code, one.content) for one in answers} == {(200, answers[0].content)}
    assert len(galaxy.archives()) == 1
    assert galaxy.objects().count(content) == 1


def test_other_bytes_of_the_same_identifier_are_refused_unless_they_say_what_they_supersede(galaxy: Galaxy) -> None:
    first, second, identifier = a_report(), a_report(), an_identifier()
    galaxy.upload(first, identifier)
    hash_of_first = f"sha256:{hashlib.sha256(first).hexdigest()}"

    refused = galaxy.upload(second, identifier)
    mistaken = galaxy.upload(second, identifier, supersedes=f"sha256:{'0' * 64}")
    left = galaxy.objects()
    taken = galaxy.upload(second, identifier, supersedes=hash_of_first)
    again = galaxy.upload(second, identifier, supersedes=hash_of_first)
    earlier = galaxy.upload(first, identifier)

    assert (refused.status_code, mistaken.status_code) == (409, 409)
    assert hash_of_first in refused.json()["message"]
    assert second not in left
    assert (taken.status_code, again.content, earlier.status_code) == (200, taken.content, 200)
    assert galaxy.archives("sha256 supersededBy { sha256 }") == [
        {"sha256": hashlib.sha256(first).hexdigest(), "supersededBy": {"sha256": hashlib.sha256(second).hexdigest()}},
        {"sha256": hashlib.sha256(second).hexdigest(), "supersededBy": None},
    ]
    assert (galaxy.objects().count(first), galaxy.objects().count(second)) == (1, 1)
    assert galaxy.whoami().json()["reports"] == {identifier: f"sha256:{hashlib.sha256(second).hexdigest()}"}


def test_a_report_may_come_in_pieces_of_any_size_with_its_fields_in_any_order(galaxy: Galaxy) -> None:
    content, identifier = b"\r\n--" + BOUNDARY.encode()[:-1] + a_report() + b"\r\n--", an_identifier()
    fields = [
        (f'name="data"; filename="{identifier}.tar.gz"', content),
        ('name="meta"; filename="a.json"', metadata(identifier, content)),
        ('name="identifier"', identifier.encode()),
    ]
    body = multipart(fields)

    sent = galaxy.post(iter([body[n : n + 7] for n in range(0, len(body), 7)]))

    assert sent.status_code == 200, sent.text
    assert content in galaxy.objects()


def test_a_report_may_take_longer_than_a_request_has_with_the_database(galaxy: Galaxy) -> None:
    content, identifier = a_report(), an_identifier()
    body = form(identifier, metadata(identifier, content), content)

    def slowly() -> Iterator[bytes]:
        yield body[:-50]
        time.sleep(REQUEST_TIMEOUT + 0.5)
        yield body[-50:]

    sent = galaxy.post(slowly())

    assert sent.status_code == 200, sent.text
    assert content in galaxy.objects()


def test_keys_reach_no_log(galaxy: Galaxy) -> None:
    galaxy.whoami()
    galaxy.upload(a_report())
    galaxy.post(b"", AUTHORIZATION=f"{galaxy.uuid}:{galaxy.key}x")
    galaxy.server.client.post(f"{galaxy.server.url}/api/whoami/{galaxy.key}")

    until(lambda: "/api/whoami/" in galaxy.server.log)
    assert galaxy.key not in galaxy.server.log
    assert "/api/v2/upload" in galaxy.server.log
