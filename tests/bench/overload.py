"""Behaviour at ten times the load that the server can take, and with clients that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from rich.table import Table

from graph.engine.admission import REFUSAL_DELAY
from tests.bench.cgroup import limit_memory
from tests.bench.compare import Advance
from tests.bench.crowd import CrowdOptions, apart
from tests.bench.fill import drop, fill
from tests.bench.scale import Tree
from tests.bench.servers import ADMIN_TOKEN, Server, Servers, memory

DATABASE = "bench_overload"
LIMIT = 512 * 2**20
"""Bytes of memory that the server may take."""
TIMES = 10
"""The overload, in multiples of the load with the most good answers."""
CONNECTIONS = (1, 2, 4, 8)
"""Among these the peak is looked for."""
THINKS = 0.005
"""Seconds between two point reads of the caller who is signed in."""
BOUNDS = {
    "goodput, of the peak": (0.8, "at least"),
    "point reads of a signed-in caller, p99 of the unloaded": (10.0, "at most"),
    "/livez, p99 in ms": (100.0, "at most"),
    "refusals, p99 in ms": (50.0, "at most"),
    "memory, at most, in MiB": (400.0, "at most"),
    "ended by the system": (0.0, "at most"),
}


@dataclass
class Overload:
    """The measured values, by the name of their bound."""

    confined: bool
    """Whether the server could take no more than LIMIT."""
    figures: dict[str, float] = field(default_factory=dict)
    peak: float = 0.0
    """Good answers a second at the load that gives most of them."""
    connections: int = 0
    """The number of connections of that load."""
    hostile: dict[str, float] = field(default_factory=dict)
    """Memory in MiB after each kind of hostile clients."""

    @property
    def holds(self) -> bool:
        """Whether all figures are within their bounds."""
        return all(within(name, value) for name, value in self.figures.items())


def within(name: str, value: float) -> bool:
    """Whether a figure is within its bound."""
    bound, kind = BOUNDS[name]
    return value >= bound if kind == "at least" else value <= bound


async def overload(url: str, seconds: float, advance: Advance, tree: Tree) -> Overload:
    """Fill a database and overload a server on it."""
    await fill(url, DATABASE, tree, None, lambda stored: advance(f"{stored:,} documents stored", 0.1))
    try:
        with limit_memory(LIMIT) as group, Servers(url, None) as servers:
            # Where memory cannot be confined, the server is told what it would have found.
            settings = {} if group else {"PROVENANCE_ANSWER_MEMORY": str(LIMIT // 4 // 1_000_000)}
            server = servers.ours("plan", DATABASE, settings=settings, group=group)
            await server.until_it_answers()
            found = Overload(group is not None)
            async with _watch(server, found):
                await _measure(server, tree, seconds, found, advance)
                await _attack(server, seconds, found, advance)
            return found
    finally:
        await drop(url, DATABASE)


async def _measure(server: Server, tree: Tree, seconds: float, found: Overload, advance: Advance) -> None:
    port = server.addresses[0].port

    def signed_in(seconds: float) -> CrowdOptions:
        return CrowdOptions(port, "point", 1, seconds, ADMIN_TOKEN, tree.users, pause=THINKS)

    advance("point reads alone", 0.2)
    alone = await apart(signed_in(seconds))
    for connections in CONNECTIONS:
        advance(f"deep queries, {connections} at a time", 0.2 + 0.05 * connections)
        one = await apart(CrowdOptions(port, "deep", connections, seconds))
        if one.per_second > found.peak:
            found.peak, found.connections = one.per_second, connections
    advance(f"deep queries, {TIMES * found.connections} at a time", 0.7)
    # Ten times as many clients, each of whom asks as often as at the peak, whether they are answered or refused.
    rests = max(0.0, found.connections / found.peak - REFUSAL_DELAY)
    deep, points, alive = await asyncio.gather(
        apart(CrowdOptions(port, "deep", TIMES * found.connections, 2 * seconds, rests=rests)),
        apart(signed_in(2 * seconds)),
        apart(CrowdOptions(port, "livez", 1, 2 * seconds, pause=10 * THINKS)),
    )
    found.figures |= {
        "goodput, of the peak": deep.per_second / found.peak,
        "point reads of a signed-in caller, p99 of the unloaded": _p99(points.good) / _p99(alone.good),
        "/livez, p99 in ms": 1000 * _p99(alive.good),
        "refusals, p99 in ms": 1000 * _p99(deep.refused),
    }


async def _attack(server: Server, seconds: float, found: Overload, advance: Advance) -> None:
    """Let all kinds of clients do their worst, one kind after the other."""
    port = server.addresses[0].port
    kinds = {
        "200 that ask at once again": CrowdOptions(port, "deep", 200, seconds),
        "100 that read nothing": CrowdOptions(port, "unread", 100, seconds),
        "400 that hang up": CrowdOptions(port, "hang_up", 400, seconds),
        "400 that send a body without an end": CrowdOptions(port, "endless", 400, seconds),
        "100 with documents like no other": CrowdOptions(port, "dense", 100, seconds),
        "1,100 WebSockets that read nothing": CrowdOptions(port, "followers", 1_100, seconds),
        "200 with aliases of lists": CrowdOptions(port, "wide", 200, seconds),
    }
    for number, (name, wanted) in enumerate(kinds.items()):
        advance(name, 0.8 + 0.2 * number / len(kinds))
        await apart(wanted)
        found.hostile[name] = memory(server.pids[0]).get("VmHWM", 0) / 2**20


@asynccontextmanager
async def _watch(server: Server, found: Overload) -> AsyncIterator[None]:
    """Note what the server's process takes at most, and whether it lives in the end."""
    (process,) = server.processes
    with suppress(OSError, ConnectionError):
        yield
    found.figures["memory, at most, in MiB"] = memory(process.pid).get("VmHWM", 0) / 2**20
    found.figures["ended by the system"] = float(process.poll() is not None)


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))] if seconds else float("inf")


def table(found: Overload) -> Table:
    """Each figure with its bound."""
    where = "in 512 MiB" if found.confined else "memory sampled, as none could be confined"
    made = Table(title=f"{TIMES} times the load of the peak, {where}", title_justify="left")
    for name in ("figure", "found", "bound", ""):
        made.add_column(name, justify="left" if name == "figure" else "right")
    made.add_row("peak, deep queries a second", f"{found.peak:,.1f}", f"at {found.connections} connections")
    for name, value in found.figures.items():
        bound, kind = BOUNDS[name]
        made.add_row(name, f"{value:,.2f}", f"{kind} {bound:,g}", "holds" if within(name, value) else "FAILS")
    for name, held in found.hostile.items():
        made.add_row(f"memory so far: {name}", f"{held:,.0f} MiB")
    return made
