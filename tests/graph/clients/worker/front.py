"""An HTTP server between a worker and its server, which answers some requests itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

from tests.support.patience import within
from tests.support.running import PLAIN

Verdict = int | float | str | None
"""A status to answer, seconds to wait before the request is passed on, LOST, or nothing to be done to it."""
LOST = "lost"
"""The request is passed on, and its answer is not."""


Judge = Callable[[str, bytes], Verdict]


def answers(word: str, verdict: Verdict) -> Judge:
    """A judge of the requests of a method, or of those to GraphQL that contain a word."""
    return lambda method, body: verdict if method == word or f"{word}(".encode() in body else None


class Front:
    """Passes requests on, but for what `judge` says of a method and body."""

    def __init__(self, target: str) -> None:
        self.judge: Judge = lambda method, body: None
        self.judged: list[str] = []
        self.headers: dict[str, str] = {}
        self.client = client = httpx2.Client(**PLAIN, timeout=within())
        self.closing = threading.Event()
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                verdict = front.judge(self.command, body)
                if verdict is not None:
                    front.judged.append(self.command)
                if isinstance(verdict, float):
                    front.closing.wait(verdict)
                if isinstance(verdict, int):
                    self._answer(verdict, front.headers, b"")
                    return
                # The host as well: signed URLs lead to where the client came in.
                response = client.request(
                    self.command, f"{target}{self.path}", content=body, headers=dict(self.headers.items())
                )
                if verdict == LOST:
                    self._answer(502, {}, b"")
                    return
                kept = {"content-type": response.headers.get("content-type", "text/plain")}
                self._answer(response.status_code, kept, response.content)

            def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                if front.closing.is_set():
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = _pass_on

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def front_of(target: str) -> Iterator[Front]:
    """Such a server for the block."""
    front = Front(target)
    thread = threading.Thread(target=front.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        front.closing.set()
        front.server.shutdown()
        front.server.server_close()
        thread.join()
        front.client.close()
