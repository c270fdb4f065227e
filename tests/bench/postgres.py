"""A PostgreSQL of the run: the floor for what a database needs to follow edges."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.servers import free_port

PROGRAMS = ("initdb", "postgres", "psql")
DEBIAN = Path("/usr/lib/postgresql")
START_SECONDS = 30.0
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "512MB",
    "work_mem": "64MB",
    "fsync": "off",
    # Compiling a query of 70 ms takes 10 more.
    "jit": "off",
}
BELOW = """
WITH RECURSIVE below(id, distance) AS (
    SELECT '{root}'::text, 0
    UNION
    SELECT edges.child, below.distance + 1 FROM below JOIN edges ON edges.parent = below.id
    WHERE below.distance < {hops}
), nodes AS MATERIALIZED (
    SELECT id, min(distance) AS distance FROM below GROUP BY id
)
SELECT edges.parent, edges.child, parents.distance, children.distance
FROM nodes AS parents JOIN edges ON edges.parent = parents.id JOIN nodes AS children ON children.id = edges.child
"""


class Postgres:
    """A running server with one table, `edges`, and an index for each direction that covers it."""

    def __init__(self, psql: str, folder: Path, port: int) -> None:
        self._command = [psql, "-X", "-q", "-h", str(folder), "-p", str(port), "-U", "postgres"]
        self._command += ["-v", "ON_ERROR_STOP=1", "-d", "postgres"]

    def load(self, edges: Iterable[tuple[str, str]]) -> None:
        """Store edges."""
        self._run("CREATE TABLE edges (parent text NOT NULL, child text NOT NULL)")
        rows = "".join(f"{parent}\t{child}\n" for parent, child in edges)
        self._run("COPY edges FROM STDIN", rows=rows)
        self._run("CREATE INDEX ON edges (parent, child); CREATE INDEX ON edges (child, parent)")
        self._run("VACUUM ANALYZE edges")

    def edges_below(self, root: str, hops: int) -> set[tuple[str, str]]:
        """The edges between the nodes at most so many hops below a root."""
        lines = self._run(BELOW.format(root=root, hops=hops), "-A", "-t").splitlines()
        return {(parent, child) for parent, child, *_ in (line.split("|") for line in lines)}

    def ms(self, root: str, hops: int, repeats: int) -> list[float]:
        """Milliseconds until all of these edges are with the client, each time."""
        script = "\\timing on\n" + f"{BELOW.format(root=root, hops=hops)}\\g /dev/null\n" * repeats
        done = subprocess.run(self._command, input=script, capture_output=True, text=True, check=True)
        return [float(ms) for ms in re.findall(r"^Time: ([\d.]+) ms", done.stdout, re.MULTILINE)]

    def answers(self) -> bool:
        """Whether the server takes connections."""
        return subprocess.run([*self._command, "-c", "SELECT 1"], capture_output=True, check=False).returncode == 0

    def _run(self, script: str, *options: str, rows: str = "") -> str:
        """The output of psql for a command, which may read rows."""
        command = [*self._command, *options, "-c", script]
        return subprocess.run(command, input=rows, capture_output=True, text=True, check=True).stdout


@contextmanager
def postgres() -> Iterator[Postgres | str]:
    """A server that ends with the block, or a sentence that says why there is none."""
    programs = {name: path for name in PROGRAMS if (path := _program(name)) is not None}
    if missing := [name for name in PROGRAMS if name not in programs]:
        yield f"{' and '.join(missing)} of PostgreSQL cannot be found"
        return
    # It refuses to run as root.
    user = _unprivileged_user() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="provenance-bench-postgres-") as directory:
        folder = Path(directory)
        if user is not None:
            shutil.chown(folder, user)
        data, port = folder / "data", free_port()
        make = [programs["initdb"], "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(make, user=user, cwd=folder, capture_output=True, check=True)
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [programs["postgres"], "-D", str(data), "-k", directory, "-p", str(port), *settings]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, user=user, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield _wait_for(server, Postgres(programs["psql"], folder, port))
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(server: "subprocess.Popen[bytes]", postgres: Postgres) -> Postgres | str:
    """The server once it answers, or a sentence that says why it does not."""
    deadline = time.monotonic() + START_SECONDS
    while not postgres.answers():
        if server.poll() is not None or time.monotonic() > deadline:
            return "PostgreSQL did not start"
        time.sleep(0.05)
    return postgres


def _program(name: str) -> str | None:
    """The path of a program of PostgreSQL, of its newest version where several are installed."""
    versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return str(versions[-1]) if versions else shutil.which(name)


def _unprivileged_user() -> str:
    """The user that the server runs as when this process is root."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
