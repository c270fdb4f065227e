"""Particulars of Google Cloud Storage: signing without a key, and errors that say in a sentence what is wrong."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from google.auth.compute_engine import Credentials
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from documents.storage.bucket import BucketError, BucketUnavailable, Download
from documents.storage.google_bucket import GoogleBucket, IamSigning
from tests.documents.storage.test_bucket import giving
from tests.support.storage import LAB, PREFIX, Gate, serve

ACCOUNT = "graph@project.example"


class CloudRun:
    """The metadata server of an instance without a key file, and IAM, which signs for it."""

    def __init__(self, gate: Gate) -> None:
        self.signer = gate.signing().signer
        self.url = ""
        self.asked: list[str] = []
        self.away = False

    async def account(self, request: Request) -> Response:
        return JSONResponse({"email": ACCOUNT, "scopes": ["cloud-platform"]}, headers={"Metadata-Flavor": "Google"})

    async def token(self, request: Request) -> Response:
        answer = {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}
        return JSONResponse(answer, headers={"Metadata-Flavor": "Google"})

    async def universe(self, request: Request) -> Response:
        return Response("googleapis.com", media_type="application/text", headers={"Metadata-Flavor": "Google"})

    async def sign_blob(self, request: Request) -> Response:
        self.asked.append(request.path_params["account"])
        if self.away:
            return Response(status_code=503)
        if request.headers.get("authorization") != "Bearer a-token":
            return Response(status_code=403)
        payload = base64.b64decode((await request.json())["payload"])
        return JSONResponse({"keyId": "1", "signedBlob": base64.b64encode(self.signer.sign(payload)).decode()})

    def request(self, url: str, method: str = "GET", body: Any = None, headers: Any = None, **rest: Any) -> Any:
        """Send a request of Google's library, with this machine in place of IAM's host."""
        found = httpx2.request(
            method, url.replace("https://iamcredentials.googleapis.com", self.url), content=body, headers=headers,
            trust_env=False,
        )  # fmt: skip
        return SimpleNamespace(status=found.status_code, data=found.content, headers=found.headers)


@pytest.fixture
def cloud_run(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudRun]:
    instance = CloudRun(gate)
    at = "/computeMetadata/v1"
    routes = [
        Route(f"{at}/instance/service-accounts/{{name}}/token", instance.token),
        Route(f"{at}/instance/service-accounts/{{name}}/", instance.account),
        Route(f"{at}/universe/universe-domain", instance.universe),
        Route("/v1/projects/-/serviceAccounts/{account}:signBlob", instance.sign_blob, methods=["POST"]),
    ]
    with serve(Starlette(routes=routes)) as url:
        instance.url = url
        host = urlsplit(url).netloc
        # Read once, when Google's library is imported.
        monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", host, raising=False)
        monkeypatch.setenv("GCE_METADATA_HOST", host)
        yield instance


async def test_without_a_key_urls_are_signed_by_iam_for_the_account_of_the_instance(
    gate: Gate, cloud_run: CloudRun
) -> None:
    kept = gate.bucket()
    stored = await kept.write(f"{PREFIX}outputs/iam", giving([b"bytes"]))
    signing = IamSigning(Credentials(), cloud_run.request)  # type: ignore[no-untyped-call]
    bucket = GoogleBucket(LAB, PREFIX, credentials=gate.signing(), signing=signing, endpoint=gate.url)

    (signed,) = await bucket.sign_downloads([Download(f"{PREFIX}outputs/iam", stored.generation, "a.csv")], seconds=60)

    assert httpx2.get(signed.url, trust_env=False).content == b"bytes"
    assert parse_qs(urlsplit(signed.url).query)["X-Goog-Credential"][0].startswith(f"{ACCOUNT}/")
    assert cloud_run.asked == [ACCOUNT]
    for one in (bucket, kept):
        await one.close()


async def test_urls_say_to_the_second_when_they_expire(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2024, 2, 29, 12, 0, 0, 700_000, tzinfo=UTC)
    monkeypatch.setattr("documents.storage.google_bucket.now", lambda: at)
    bucket = gate.bucket()

    (down,) = await bucket.sign_downloads([Download(f"{PREFIX}outputs/a", 1, "a.csv")], seconds=60)
    up = await bucket.sign_upload(f"{PREFIX}outputs/b", size=1, media_type="text/csv", seconds=90)

    expected = [datetime(2024, 2, 29, 12, 1, tzinfo=UTC), datetime(2024, 2, 29, 12, 1, 30, tzinfo=UTC)]
    assert [down.expires_at, up.expires_at] == expected
    assert [parse_qs(urlsplit(one.url).query)["X-Goog-Expires"] for one in (down, up)] == [["60"], ["90"]]
    await bucket.close()


async def test_a_bucket_that_is_there_may_be_used(gate: Gate) -> None:
    bucket = gate.bucket()

    await bucket.check()
    await bucket.close()


async def test_a_bucket_that_is_not_there_is_named(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gate.emulator)
    bucket = GoogleBucket("nowhere")

    with pytest.raises(BucketError, match="There is no bucket nowhere"):
        await bucket.check()
    await bucket.close()


def test_without_credentials_it_is_said_where_they_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    wrong = tmp_path / "key.json"
    wrong.write_text(json.dumps({"type": "service_account"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(wrong))

    with pytest.raises(BucketError, match="There are no credentials for Google Cloud Storage"):
        GoogleBucket("anywhere")


async def test_an_emulator_needs_no_credentials(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gate.emulator)
    bucket = GoogleBucket(LAB, PREFIX)
    signed = await bucket.sign_upload(f"{PREFIX}outputs/emulated", size=3, media_type="text/csv", seconds=60)

    answer = httpx2.put(signed.url, content=b"abc", headers=signed.headers, trust_env=False)

    assert answer.status_code == 200
    stored = await bucket.stat(f"{PREFIX}outputs/emulated")
    assert stored
    assert stored.size == 3
    await bucket.close()


async def test_where_google_does_not_answer_the_bucket_is_unavailable(gate: Gate, cloud_run: CloudRun) -> None:
    signing = IamSigning(Credentials(), cloud_run.request)  # type: ignore[no-untyped-call]
    bucket = GoogleBucket(LAB, PREFIX, credentials=gate.signing(), signing=signing, endpoint=gate.url)
    cloud_run.away = True

    with pytest.raises(BucketUnavailable, match="Google Cloud Storage does not answer"):
        await bucket.sign_downloads([Download(f"{PREFIX}outputs/iam", 1, "a.csv")], seconds=60)
