"""A server as a process of its own, spoken to over real HTTP."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
GRAPHQL_JSON = "application/graphql-response+json"


class Served:
    """A running server, and what it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err
        self.url = ""
        self.client = httpx2.Client(timeout=30, trust_env=False)

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def log(self) -> str:
        return self._err.read_text()

    def wait_until_serving(self) -> None:
        deadline = time.monotonic() + 30
        while not self.out.startswith("http"):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        self.url = self.out.splitlines()[0]

    def post(self, query: Any, variables: Any = None, *, accept: str = GRAPHQL_JSON, **headers: str) -> httpx2.Response:
        body = {"query": query} if variables is None else {"query": query, "variables": variables}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"{self.url}/graphql", json=body, headers={"accept": accept, **headers})

    def send(self, body: Any, content_type: str | None = "application/json", **headers: str) -> httpx2.Response:
        sent = {"accept": GRAPHQL_JSON, **headers} | ({"content-type": content_type} if content_type else {})
        return self.client.post(f"{self.url}/graphql", content=body, headers=sent)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.get(f"{self.url}{path}", **options)

    def cpu(self) -> float:
        """Seconds of CPU that the server has used so far, by its own account."""
        return float(self.post("{cpu}").json()["data"]["cpu"])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def serving(*command: str, env: dict[str, str] | None = None) -> Iterator[Served]:
    """A server started by `python command…`, which prints its address first; stopped at the end of the block."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVENANCE_")}
    with tempfile.TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        with out.open("wb") as stdout, err.open("wb") as stderr:
            environment = clean | {"PORT": "0", "HOST": "127.0.0.1"} | (env or {})
            arguments = [sys.executable, *command]
            process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=stdout, stderr=stderr)
        served = Served(process, out, err)
        try:
            served.wait_until_serving()
            yield served
        finally:
            served.client.close()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
