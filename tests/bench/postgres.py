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

Edge = tuple[str, str]
Node = tuple[str, str, str]
"""The id of a node, of its owner, and its caption."""

PROGRAMS = ("initdb", "postgres", "psql")
DEBIAN = Path("/usr/lib/postgresql")
START_SECONDS = 30.0
CACHE = 512
"""Megabytes for its cache."""
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": f"{CACHE}MB",
    "work_mem": "64MB",
    "fsync": "off",
    # Compiling a query of 70 ms takes 10 more.
    "jit": "off",
}
EDGES = """
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
"""The edges below a root, where all nodes may be seen."""
SHOWN = """
WITH RECURSIVE below(id, distance) AS (
    SELECT '{root}'::text, 0
    UNION
    SELECT edges.child, below.distance + 1
    FROM below JOIN all_edges AS edges ON edges.parent = below.id JOIN nodes ON nodes.id = edges.child
    WHERE below.distance < {hops} AND (nodes.public OR nodes.owner = '{viewer}' OR nodes.readers @> ARRAY['{viewer}'])
), shown AS MATERIALIZED (
    SELECT id, min(distance) AS distance FROM below GROUP BY id
)
SELECT edges.parent, edges.child, parents.distance, children.distance, nodes.caption
FROM shown AS parents JOIN all_edges AS edges ON edges.parent = parents.id
JOIN shown AS children ON children.id = edges.child JOIN nodes ON nodes.id = children.id
"""
"""The edges below a root, with the rights to each node and the caption of each edge's end."""


class Postgres:
    """A running server with `edges` that its reader may see, `all_edges`, and `nodes` with their rights and captions.

    Edges have an index for each direction that covers them.
    """

    def __init__(self, psql: str, folder: Path, port: int) -> None:
        self._command = [psql, "-X", "-q", "-h", str(folder), "-p", str(port), "-U", "postgres"]
        self._command += ["-v", "ON_ERROR_STOP=1", "-d", "postgres"]

    def load(self, edges: Iterable[Edge], all_edges: Iterable[Edge], nodes: Iterable[Node]) -> None:
        """Store edges and nodes."""
        for table, pairs in (("edges", edges), ("all_edges", all_edges)):
            self._run(f"CREATE TABLE {table} (parent text NOT NULL, child text NOT NULL)")
            self._copy(table, pairs)
            self._run(f"CREATE INDEX ON {table} (parent, child); CREATE INDEX ON {table} (child, parent)")
        self._run(
            "CREATE TABLE nodes (id text NOT NULL, owner text NOT NULL, public boolean NOT NULL, "
            "readers text[] NOT NULL, caption text NOT NULL)"
        )
        self._copy("nodes", ((id, owner, "false", "{}", caption) for id, owner, caption in nodes))
        self._run("CREATE UNIQUE INDEX ON nodes (id)")
        self._run("VACUUM ANALYZE")

    def edges_below(self, root: str, hops: int, viewer: str | None = None) -> set[Edge]:
        """The edges between the nodes at most so many hops below a root, of those that a viewer sees, if given."""
        lines = self._run(_query(root, hops, viewer), "-A", "-t").splitlines()
        return {(parent, child) for parent, child, *_ in (line.split("|") for line in lines)}

    def ms(self, root: str, hops: int, repeats: int, viewer: str | None = None) -> list[float]:
        """Milliseconds until all of these edges are with the client, each time."""
        script = "\\timing on\n" + f"{_query(root, hops, viewer)}\\g /dev/null\n" * repeats
        done = subprocess.run(self._command, input=script, capture_output=True, text=True, check=True)
        return [float(ms) for ms in re.findall(r"^Time: ([\d.]+) ms", done.stdout, re.MULTILINE)]

    def answers(self) -> bool:
        """Whether the server takes connections."""
        return subprocess.run([*self._command, "-c", "SELECT 1"], capture_output=True, check=False).returncode == 0

    def _copy(self, table: str, rows: Iterable[tuple[str, ...]]) -> None:
        self._run(f"COPY {table} FROM STDIN", rows="".join("\t".join(row) + "\n" for row in rows))

    def _run(self, script: str, *options: str, rows: str = "") -> str:
        """The output of psql for a command, which may read rows."""
        command = [*self._command, *options, "-c", script]
        return subprocess.run(command, input=rows, capture_output=True, text=True, check=True).stdout


def _query(root: str, hops: int, viewer: str | None) -> str:
    return EDGES.format(root=root, hops=hops) if viewer is None else SHOWN.format(root=root, hops=hops, viewer=viewer)


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
