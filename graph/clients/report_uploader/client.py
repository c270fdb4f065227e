"""Requests to the server, repeated while it cannot be reached."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from graph.clients.report_uploader import INSTANCE, KEY
from graph.clients.report_uploader.folder import Progress, ReportFiles
from graph.clients.worker.client import is_retryable_status, retry_after

CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 120.0
"""Seconds for connecting, and without any byte being transferred."""
RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt, more if the server asks for more."""
MAX_RETRY_DELAY = 120.0

T = TypeVar("T")


class UploadError(Exception):
    """Nothing more can be sent for now; the message says why."""


class RefusedAccess(UploadError):
    """Nothing can be sent with this address, instance and key; the message says what to check."""


class TransientError(Exception):
    """No answer, or none for now: the request may be repeated after `after` seconds."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True)
class Answer:
    """The outcome for a report."""

    status: int
    message: str

    @property
    def is_stored(self) -> bool:
        return self.status < 300

    @property
    def is_quarantined(self) -> bool:
        return self.status == 202


class UploadClient:
    """A client of a server, as one of the instances that report to it."""

    def __init__(self, url: str, instance: str, key: str, delays: tuple[float, ...] = RETRY_DELAYS) -> None:
        self._url = url.strip().rstrip("/")
        timeout = httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
        self._client = httpx2.Client(
            headers={"Authorization": f"{instance.strip()}:{key.strip()}"}, timeout=timeout, follow_redirects=False
        )
        self._delays = delays

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def reports(self) -> dict[str, str]:
        """The hash of each report that the server has, by identifier. Raises UploadError."""
        answer = _json(self._with_retries(lambda: self._post("/api/whoami")))
        reports = answer.get("reports")
        if not isinstance(reports, dict):
            raise RefusedAccess(f"{self._url} does not answer as provenance-graph does. Is the address right?")
        return reports

    def send(self, report: ReportFiles, progress: Progress) -> Answer:
        """Send a report; `progress` receives its bytes, negative ones when an attempt fails. Raises UploadError."""
        response = self._with_retries(lambda: self._try_to_send(report, progress))
        return Answer(response.status_code, str(_json(response).get("message") or f"HTTP {response.status_code}"))

    def _try_to_send(self, report: ReportFiles, progress: Progress) -> httpx2.Response:
        sent = 0

        def count(size: int) -> None:
            nonlocal sent
            sent += size
            progress(size)

        boundary = secrets.token_hex(16)
        before, after = _multipart_envelope(report, boundary)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(before) + report.size + len(after)),
        }
        try:
            return self._post("/api/v2/upload", headers=headers, content=_body(before, report, after, count))
        except TransientError:
            progress(-sent)
            raise

    def _post(self, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._client.post(f"{self._url}{path}", **options)
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
            raise RefusedAccess(f"{self._url} cannot be used: {error}.") from None
        except httpx2.TransportError as error:
            raise TransientError(f"{self._url} does not answer: {error or type(error).__name__}.") from None
        status = response.status_code
        if is_retryable_status(status):
            message = _json(response).get("message", "try again later")
            raise TransientError(f"{self._url} answers {status}: {message}", retry_after(response))
        if status == 401:
            raise RefusedAccess(
                f"{self._url} does not accept this instance and key. Check that {INSTANCE} is the UUID of an instance "
                f"there, and that {KEY} is this instance's newest key: earlier ones are refused."
            )
        if status == 404 or 300 <= status < 400:
            raise RefusedAccess(f"{self._url} answers {status}. Is the address right?")
        return response

    def _with_retries(self, request: Callable[[], httpx2.Response]) -> httpx2.Response:
        for delay in self._delays:
            try:
                return request()
            except TransientError as error:
                time.sleep(max(delay, min(error.after, MAX_RETRY_DELAY)))
        try:
            return request()
        except TransientError as error:
            raise UploadError(str(error)) from None


def _multipart_envelope(report: ReportFiles, boundary: str) -> tuple[bytes, bytes]:
    """The multipart body before and after the bytes of the archive."""
    text = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="identifier"\r\n\r\n{report.identifier}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="meta"; filename="report.json"\r\n\r\n'
    )
    data = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="data"; filename="report.tar.gz"\r\n\r\n'
    return text.encode() + report.metadata.read_bytes() + data.encode(), f"\r\n--{boundary}--\r\n".encode()


def _body(before: bytes, report: ReportFiles, after: bytes, progress: Progress) -> Iterator[bytes]:
    yield before
    yield from report.chunks(progress)
    yield after


def _json(response: httpx2.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
