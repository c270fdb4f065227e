"""The cost of a start: a server until it is ready, help, and an option that there is none of."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from documents.migrations import STEPS, record_newest_version
from documents.migrations.step_list import newest_version
from documents.mongo.database import make_client, open_database
from tests.bench.compare import Advance
from tests.bench.fill import record_version
from tests.bench.load import Address
from tests.bench.servers import COMMAND, ROOT, SERVE, Server, Servers, ServerStartError, memory, start

DATABASE = "bench_start"
READY_TIMEOUT = 60.0
POLL_INTERVAL = 0.01
READYZ = b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
COMMANDS = {"--help": ("--help",), "an unknown option": ("--no-such-option",)}
"""Commands that end by themselves, by the name of their row."""


@dataclass(frozen=True)
class Cost:
    """The cost of a start: medians of several."""

    started: str
    cpu_seconds: float
    """CPU of the process, user and system."""
    wall_seconds: float
    mebibytes: float | None = None
    """Resident memory of a server once it is ready; None for commands, whose memory the system does not tell apart."""


async def measure(
    url: str, repeats: int, advance: Advance, source: Path | None = None, version: int | None = None
) -> list[Cost]:
    """Measure each start several times, on an empty database that is migrated already.

    With `source`, that of the code in another folder, whose schema version is `version`.
    """
    client = make_client(url)
    try:
        await client.drop_database(DATABASE)
        await open_database(client[DATABASE])
        await record_newest_version(client[DATABASE])
        await record_version(url, DATABASE, newest_version(STEPS) if version is None else version)
        # The first of each fills the caches: of bytecode, and the system's of files.
        starts = [await _start_cost(url, source, advance, number) for number in range(repeats + 1)][1:]
        commands = {
            name: [await asyncio.to_thread(_command_cost, arguments, source) for _ in range(repeats + 1)][1:]
            for name, arguments in COMMANDS.items()
        }
    finally:
        await client.drop_database(DATABASE)
        await client.close()
    return [_medians(name, costs) for name, costs in {"serve until /readyz": starts, **commands}.items()]


async def _start_cost(url: str, source: Path | None, advance: Advance, number: int) -> Cost:
    """A server's start, until it says that it is ready. Raises ServerStartError."""
    advance(f"start {number}", 0)
    with Servers(url, None) as servers:
        began = time.monotonic()
        server = servers.ours("start", DATABASE, source=source, settings=_with_bytecode())
        await _until_ready(server)
        seconds = time.monotonic() - began
        return Cost("serve", server.cpu(), seconds, memory(server.pids[0]).get("VmRSS", 0) / 2**20)


async def _until_ready(server: Server) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while not await _is_ready(server.addresses[0]):
        if server.processes[0].poll() is not None or time.monotonic() > deadline:
            raise ServerStartError(f"The server did not start.\n{server.said.read_text()[-2000:]}")
        await asyncio.sleep(POLL_INTERVAL)


async def _is_ready(address: Address) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    except OSError:
        return False
    writer.write(READYZ)
    status = await reader.readline()
    writer.close()
    return status.startswith(b"HTTP/1.1 200")


def _command_cost(arguments: Sequence[str], source: Path | None) -> Cost:
    """The cost of a command that ends by itself."""
    program = [sys.executable, "-c", SERVE] if source else [COMMAND]
    with tempfile.TemporaryDirectory(prefix="provenance-bench-") as directory:
        began = time.monotonic()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVENANCE_")}
        process = start(
            [*program, *arguments], source or ROOT, environment | _with_bytecode(), Path(directory) / "said"
        )
        assert isinstance(process, subprocess.Popen), "a command of its own, whose use of the CPU the system counts"
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return Cost("", used.ru_utime + used.ru_stime, time.monotonic() - began)


def _with_bytecode() -> dict[str, str]:
    """Let the process keep bytecode, whatever is set here: without it each start compiles every module."""
    return {"PYTHONDONTWRITEBYTECODE": ""}


def _medians(name: str, costs: list[Cost]) -> Cost:
    sizes = [cost.mebibytes for cost in costs if cost.mebibytes is not None]
    return Cost(
        name,
        median(cost.cpu_seconds for cost in costs),
        median(cost.wall_seconds for cost in costs),
        median(sizes) if sizes else None,
    )


def table(found: dict[str, list[Cost]]) -> Table:
    """The figures, by the name of the code that was started."""
    made = Table(title="Starts: medians", title_justify="left")
    for name in ("started", "code", "CPU, s", "wall time, s", "memory, MiB"):
        made.add_column(name, justify="left" if name in ("started", "code") else "right")
    for costs in zip(*found.values(), strict=True):
        for code, cost in zip(found, costs, strict=True):
            size = "" if cost.mebibytes is None else f"{cost.mebibytes:.0f}"
            made.add_row(cost.started, code, f"{cost.cpu_seconds:.2f}", f"{cost.wall_seconds:.2f}", size)
    return made
