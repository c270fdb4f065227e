"""Growth of the deep query from 1× to 100×: time per object, memory, and the latency of other requests."""

import asyncio
import time
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from tests.bench.cases import Case, cases
from tests.bench.compare import Advance
from tests.bench.fill import drop, fill
from tests.bench.load import Address, ask, take_turn, throw_away
from tests.bench.scale import GROWTH, Tree
from tests.bench.servers import Server, Servers, memory

DATABASE = "bench_growth"
REPEATS = 5
ANSWER_BYTES = 100_000_000
"""More than a server allows by itself: the largest answer has 71 MB."""


@dataclass(frozen=True)
class GrowthFigure:
    """The deep query at one scale."""

    scale: str
    objects: int
    bytes: int
    ms: float
    us_per_object: float
    held: float | None
    """The rise of the server's memory at its peak, in sizes of the answer; None if the system does not report it."""
    alone_ms: float
    """A point read while nothing else is asked: the median."""
    beside_ms: float
    """A point read while the deep answer is made: the median."""
    beside_longest_ms: float


async def growth(url: str, advance: Advance) -> list[GrowthFigure]:
    """Measure each scale on a server of its own."""
    try:
        return [await _at(url, scale, tree, advance) for scale, tree in GROWTH.items()]
    finally:
        await drop(url, DATABASE)


async def _at(url: str, scale: str, tree: Tree, advance: Advance) -> GrowthFigure:
    share = list(GROWTH).index(scale) / len(GROWTH)
    await fill(url, DATABASE, tree, None, lambda stored: advance(f"{scale}: {stored:,} documents stored", share))
    advance(f"{scale}: asking", share + 0.5 / len(GROWTH))
    found = cases(None, tree.users)
    with Servers(url, None) as servers:
        server = servers.ours("plan", DATABASE, settings={"PROVENANCE_ANSWER_BYTES": str(ANSWER_BYTES)})
        await server.until_it_answers()
        address = server.addresses[0]
        alone = await take_turn([address], [found["point"].requests(address)], 1, 1.0)
        size, held = await _peak(server, found["deep"])
        took = [await _seconds(address, found["deep"]) for _ in range(REPEATS)]
        beside = await _beside(address, found["deep"], found["point"])
    seconds = median(took)
    return GrowthFigure(
        scale=scale,
        objects=tree.objects,
        bytes=size,
        ms=1000 * seconds,
        us_per_object=1e6 * seconds / tree.objects,
        held=held,
        alone_ms=1000 * median(alone.seconds),
        beside_ms=1000 * median(beside),
        beside_longest_ms=1000 * max(beside),
    )


async def _peak(server: Server, deep: Case) -> tuple[int, float | None]:
    """The answer's size, and how far memory rose for it. To be asked of a server that gave no large answer before."""
    (pid,) = server.pids
    before, address = memory(pid), server.addresses[0]
    size = len(await ask(address, deep.sample(address)))
    for _ in range(2):
        await ask(address, deep.sample(address))
    after = memory(pid)
    return size, (after["VmHWM"] - before["VmRSS"]) / size if before and after else None


async def _seconds(address: Address, case: Case) -> float:
    began = time.perf_counter()
    await ask(address, case.sample(address))
    return time.perf_counter() - began


async def _beside(address: Address, deep: Case, point: Case) -> list[float]:
    """The times of sequential point reads while the deep query is answered twice."""

    def twice() -> None:
        for _ in range(2):
            throw_away(address, deep.sample(address))

    took: list[float] = []
    # In a thread that keeps nothing: putting a large answer together here would be taken for the server's slowness.
    asking = asyncio.ensure_future(asyncio.to_thread(twice))
    while not asking.done():
        took.append((await take_turn([address], [point.requests(address)], 1, 0.0)).seconds[0])
    await asking
    return took


def table(grown: list[GrowthFigure]) -> Table:
    """One line a scale."""
    made = Table(title="The deep query, growing", title_justify="left")
    for name in ("scale", "objects", "MB", "ms", "µs an object", "memory, of the answer"):
        made.add_column(name, justify="right")
    for name in ("point alone", "point beside", "longest beside"):
        made.add_column(name, justify="right")
    for one in grown:
        made.add_row(
            one.scale,
            f"{one.objects:,}",
            f"{one.bytes / 1e6:.1f}",
            f"{one.ms:,.1f}",
            f"{one.us_per_object:.2f}",
            "" if one.held is None else f"{one.held:.1f}×",
            *(f"{ms:.1f} ms" for ms in (one.alone_ms, one.beside_ms, one.beside_longest_ms)),
        )
    return made
