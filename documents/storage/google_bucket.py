"""A bucket of Google Cloud Storage.

Google's client blocks, so it works in threads of its own. URLs are signed with the key of the credentials where there
is one; otherwise, as on Cloud Run, IAM signs them for the service account of the process. STORAGE_EMULATOR_HOST leads
to an emulator, which accepts any signature.
"""

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from google.api_core.exceptions import (
    Forbidden,
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    RetryError,
    ServerError,
    TooManyRequests,
)
from google.auth import default as default_credentials
from google.auth import iam
from google.auth.credentials import AnonymousCredentials, Credentials, Signing
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.cloud import storage  # type: ignore[import-untyped]
from google.cloud.storage.exceptions import InvalidResponse  # type: ignore[import-untyped]

from documents.base import now
from documents.storage.bucket import (
    LIST_PAGE_SIZE,
    OCTET_STREAM,
    Bucket,
    BucketError,
    BucketFull,
    BucketUnavailable,
    Download,
    ListedObject,
    ObjectExists,
    ObjectInfo,
    ObjectNotFound,
    SignedRequest,
    check_key,
    content_disposition,
)

T = TypeVar("T")

GOOGLE = "https://storage.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MAX_THREADS = 10
"""Concurrent calls to Google, as many as its client keeps connections."""
PART_BYTES = 8 * 1024 * 1024
"""Bytes in one request, a multiple of 256 KiB as resumable uploads demand."""
RETRYABLE_ERRORS = (ServerError, TooManyRequests, RetryError, GoogleAuthError, OSError)
"""Errors of Google's client after which a retry may succeed; its network failures are OSErrors."""
QUOTA_REASONS = {"quotaExceeded", "storageQuotaExceeded"}
RATE_LIMIT_REASONS = {"rateLimitExceeded", "userRateLimitExceeded"}
"""Reasons for a 403 that mean rate limiting; most other 403s mean that something is forbidden."""
TOO_MANY_REQUESTS, SERVER_ERROR, INSUFFICIENT_STORAGE = 429, 500, 507
NO_GENERATION = "0"
"""The generation of an object that does not exist."""


class IamSigning(Signing):
    """Signs as a service account without its private key, which never leaves Google."""

    def __init__(self, credentials: Any, request: Any = None) -> None:
        self._credentials = credentials
        self._request = request or Request()

    @property
    def signer_email(self) -> str:
        """The service account's address, which the metadata server gives with the first token."""
        if not self._credentials.valid:
            self._credentials.refresh(self._request)
        return str(self._credentials.service_account_email)

    @property
    def signer(self) -> iam.Signer:
        return iam.Signer(self._request, self._credentials, self.signer_email)  # type: ignore[no-untyped-call]

    def sign_bytes(self, message: bytes) -> bytes:
        signature: bytes = self.signer.sign(message)
        return signature


class GoogleBucket(Bucket):
    """A bucket of Google Cloud Storage, or the part of it whose names begin with `prefix`.

    `signing` signs URLs, and `endpoint` is where they lead. Raises BucketError when there are no credentials.
    """

    def __init__(
        self,
        name: str,
        prefix: str = "",
        *,
        credentials: Credentials | None = None,
        signing: Signing | None = None,
        endpoint: str | None = None,
    ) -> None:
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        credentials = credentials or (AnonymousCredentials() if emulator else _default_credentials())  # type: ignore[no-untyped-call]
        self.name = name
        self.prefix = prefix
        self._endpoint = (endpoint or emulator or GOOGLE).rstrip("/")
        if signing is None and emulator:
            signing = _emulator_signing()
        self._signing = signing or (credentials if isinstance(credentials, Signing) else IamSigning(credentials))
        self._bucket = storage.Client(project=None, credentials=credentials).bucket(name)
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="bucket")

    async def check(self) -> None:
        try:
            await self._in_thread(lambda: list(self._bucket.list_blobs(max_results=1, prefix=self.prefix)))
        except NotFound:
            raise BucketError(f"There is no bucket {self.name}.") from None
        except Forbidden:
            raise BucketError(f"The credentials may not read the bucket {self.name}.") from None
        except (GoogleAPIError, BucketUnavailable) as error:
            raise BucketError(f"The bucket {self.name} cannot be used: {error}") from error

    async def stat(self, key: str) -> ObjectInfo | None:
        blob = self._bucket.blob(check_key(key))
        try:
            await self._in_thread(blob.reload)
        except NotFound:
            return None
        return ObjectInfo(int(blob.size), int(blob.generation), blob.content_encoding)

    async def list_objects(self, folder: str) -> AsyncIterator[list[ListedObject]]:
        fields = "items(name,size,generation,timeCreated),nextPageToken"
        pages = self._bucket.list_blobs(prefix=folder, page_size=LIST_PAGE_SIZE, fields=fields).pages
        while (page := await self._in_thread(lambda: next(pages, None))) is not None:
            listed = [ListedObject(blob.name, int(blob.size), int(blob.generation), blob.time_created) for blob in page]
            if listed:
                yield listed

    async def read(self, key: str, generation: int) -> AsyncIterator[bytes]:
        blob = self._bucket.blob(check_key(key), generation=generation)
        try:
            await self._in_thread(blob.reload)
            for start in range(0, int(blob.size), PART_BYTES):
                end = min(start + PART_BYTES, int(blob.size)) - 1
                # The checksum that Google stores covers the whole object, so parts cannot be checked with it.
                download = partial(blob.download_as_bytes, start=start, end=end, raw_download=True, checksum=None)
                yield await self._in_thread(download)
        except NotFound:
            raise ObjectNotFound(key) from None

    async def write(self, key: str, chunks: AsyncIterable[bytes], media_type: str = OCTET_STREAM) -> ObjectInfo:
        blob = self._bucket.blob(check_key(key))
        upload = _Upload(blob, media_type)
        try:
            async for chunk in chunks:
                upload.add(chunk)
                if upload.buffered >= PART_BYTES:
                    await self._in_thread(upload.send)
            await self._in_thread(upload.finish)
        except PreconditionFailed:
            raise ObjectExists(key) from None
        except BaseException:
            # Shielded: Google keeps an unfinished upload for a week unless it is cancelled.
            await asyncio.shield(self._in_thread(upload.abandon))
            raise
        stored = await self.stat(key)
        if stored is None:
            raise ObjectNotFound(key)
        return stored

    async def delete(self, key: str) -> None:
        try:
            await self._in_thread(self._bucket.blob(check_key(key)).delete)
        except NotFound:
            return

    async def sign_upload(self, key: str, *, size: int, media_type: str, seconds: int) -> SignedRequest:
        headers = {
            "Content-Type": media_type,
            "x-goog-if-generation-match": NO_GENERATION,
            "x-goog-content-length-range": f"{size},{size}",
        }
        return await self._in_thread(lambda: self._sign("PUT", key, seconds, headers=headers))

    async def sign_downloads(self, downloads: Sequence[Download], *, seconds: int) -> list[SignedRequest]:
        def sign(download: Download) -> SignedRequest:
            return self._sign(
                "GET",
                download.key,
                seconds,
                generation=str(download.generation),
                response_disposition=content_disposition(download.file_name),
                response_type=download.media_type,
            )

        return list(await asyncio.gather(*(self._in_thread(partial(sign, download)) for download in downloads)))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._bucket.client.close()

    def _sign(
        self, method: str, key: str, seconds: int, headers: dict[str, str] | None = None, **options: str
    ) -> SignedRequest:
        expires_at = now().replace(microsecond=0) + timedelta(seconds=seconds)
        url = self._bucket.blob(check_key(key)).generate_signed_url(
            version="v4",
            expiration=seconds,
            method=method,
            credentials=self._signing,
            api_access_endpoint=self._endpoint,
            headers=dict(headers or {}),
            **options,
        )
        return SignedRequest(url, method, headers or {}, expires_at)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (*RETRYABLE_ERRORS, GoogleAPIError, InvalidResponse) as error:
            if translated := _bucket_error(error):
                raise translated from error
            raise


class _Upload:
    """The upload of an object: in one request when it is small, else part by part."""

    def __init__(self, blob: Any, media_type: str) -> None:
        self._blob = blob
        self._media_type = media_type
        self._buffer = bytearray()
        self._writer: Any = None
        # A cancelled call continues in its thread, and must end before the upload is cancelled.
        self._lock = Lock()

    @property
    def buffered(self) -> int:
        """The number of bytes that wait to be sent."""
        return len(self._buffer)

    def add(self, chunk: bytes) -> None:
        self._buffer += chunk

    def send(self) -> None:
        with self._lock:
            self._send()

    def finish(self) -> None:
        with self._lock:
            if self._writer is None:
                content = bytes(self._buffer)
                self._blob.upload_from_string(
                    content, content_type=self._media_type, if_generation_match=int(NO_GENERATION)
                )
                return
            self._send()
            self._writer.close()

    def abandon(self) -> None:
        with self._lock:
            if self._writer is not None and not self._writer.closed:
                self._writer.terminate()

    def _send(self) -> None:
        if self._writer is None:
            self._writer = self._blob.open(
                "wb",
                chunk_size=PART_BYTES,
                content_type=self._media_type,
                if_generation_match=int(NO_GENERATION),
                ignore_flush=True,
            )
        self._writer.write(bytes(self._buffer))
        self._buffer.clear()


def _bucket_error(error: Exception) -> BucketUnavailable | None:
    """The error that callers see for a failure: the bucket is full or unavailable. None for all other failures."""
    response = getattr(error, "response", None)
    status, reasons = getattr(response, "status_code", None), _reasons(response)
    if status == INSUFFICIENT_STORAGE or reasons & QUOTA_REASONS:
        return BucketFull(f"The bucket is full: {', '.join(sorted(reasons)) or 'insufficient storage'}.")
    if (
        isinstance(error, RETRYABLE_ERRORS)
        or reasons & RATE_LIMIT_REASONS
        or status == TOO_MANY_REQUESTS
        or (status or 0) >= SERVER_ERROR
    ):
        return BucketUnavailable(f"Google Cloud Storage does not answer: {error}")
    return None


def _reasons(response: Any) -> set[str]:
    """Google's reasons for refusing a request: https://cloud.google.com/storage/docs/json_api/v1/status-codes."""
    try:
        return {str(entry["reason"]) for entry in response.json()["error"]["errors"]}
    except (AttributeError, KeyError, TypeError, ValueError):
        return set()


def _default_credentials() -> Credentials:
    try:
        credentials, _ = default_credentials(scopes=[SCOPE])
    except GoogleAuthError as error:
        raise BucketError(f"There are no credentials for Google Cloud Storage: {error}") from error
    return credentials


def _emulator_signing() -> Signing:
    """A random key, for an emulator, which accepts any signature."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from google.auth.crypt import RSASigner
    from google.oauth2.service_account import Credentials as KeyCredentials

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signer = RSASigner.from_string(text)  # type: ignore[no-untyped-call]
    return KeyCredentials(signer, "emulator@localhost", "http://localhost")  # type: ignore[no-untyped-call]
