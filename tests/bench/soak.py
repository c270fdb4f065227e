"""`make soak`: whether a server that is asked everything at once for long takes no more memory in the end.

Queries, point reads, mutations, subscriptions, more of them than there is room for, and clients that read nothing or
hang up: all at once, again and again. What the process holds after a while of that must be what it holds in the end.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from tests.bench.crowd import CrowdOptions, CrowdResult, apart
from tests.bench.database import database
from tests.bench.fill import drop, fill
from tests.bench.scale import ONE
from tests.bench.servers import ADMIN_TOKEN, Server, Servers, memory

DATABASE = "bench_soak"
WARM_UP = 0.25
"""Of the time, before memory counts."""
ROUND = 20.0
"""Seconds that clients ask before others take their place."""
SAMPLE_INTERVAL = 1.0
MAX_GROWTH = 0.05
"""The allowed rise of memory after the warm-up."""

console = Console(width=120)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass
class SoakResult:
    """The samples of a soak test: memory, and answers by kind."""

    samples: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning, and the bytes that the process held then."""
    good: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    others: dict[str, int] = field(default_factory=dict)
    """Answers that are neither."""

    def note(self, kind: str, found: CrowdResult) -> None:
        """Add what a crowd found."""
        self.good[kind] = self.good.get(kind, 0) + len(found.good)
        self.refused += len(found.refused)
        for what, times in found.others.items():
            self.others[f"{kind}: {what}"] = self.others.get(f"{kind}: {what}", 0) + times

    def growth(self, seconds: float) -> float:
        """The relative rise of memory from the tenth after the warm-up to the last tenth, by medians."""
        after = [held for at, held in self.samples if WARM_UP * seconds <= at < (WARM_UP + 0.1) * seconds]
        last = [held for at, held in self.samples if at >= 0.9 * seconds]
        return median(last) / median(after) - 1


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to ask.")] = 30.0,
    database_url: Annotated[str | None, typer.Option(help="A MongoDB to use instead of one of its own.")] = None,
) -> None:
    """Ask a server everything at once for long, and see whether it takes more memory in the end than after a while."""
    with database(database_url) as (url, _):
        found = uvloop.run(run_soak(url, 60 * minutes))
    growth = found.growth(60 * minutes)
    for kind, number in found.good.items():
        console.print(f"  {kind:<12} {number:>10,} answers")
    console.print(f"  {'refused':<12} {found.refused:>10,}")
    for what, number in found.others.items():
        console.print(f"  {number:,} times {what}")
    held = [bytes / 2**20 for _, bytes in found.samples]
    tenths = [f"{median(held[len(held) * n // 10 : len(held) * (n + 1) // 10]):.0f}" for n in range(10)]
    console.print(f"Memory in MiB, by tenths of the time: {', '.join(tenths)}; {max(held):.0f} at most.")
    holds = growth <= MAX_GROWTH and not found.others
    console.print(
        f"Since the warm-up it rose by {growth:.1%}; {MAX_GROWTH:.0%} are allowed. It {'holds' if holds else 'FAILS'}."
    )
    sys.exit(not holds)


async def run_soak(url: str, seconds: float) -> SoakResult:
    """Fill a database, and ask a server on it for so long."""
    await fill(url, DATABASE, ONE, None, lambda stored: None)
    try:
        with Servers(url, None) as servers:
            server = servers.ours("plan", DATABASE, settings={"PROVENANCE_ANSWER_MEMORY": "128"})
            await server.until_it_answers()
            return await _ask_for(server, seconds)
    finally:
        await drop(url, DATABASE)


async def _ask_for(server: Server, seconds: float) -> SoakResult:
    found, began = SoakResult(), time.monotonic()
    until, port = began + seconds, server.addresses[0].port
    crowds = {
        "deep": CrowdOptions(port, "deep", 40, ROUND, rests=0.1),
        "point": CrowdOptions(port, "point", 4, ROUND, ADMIN_TOKEN, ONE.users, pause=0.005),
        "anonymous": CrowdOptions(port, "point", 8, ROUND, users=ONE.users, pause=0.02),
        "mutation": CrowdOptions(port, "mutation", 2, ROUND, ADMIN_TOKEN, pause=0.1),
        "followers": CrowdOptions(port, "followers", 100, ROUND),
        "unread": CrowdOptions(port, "unread", 20, ROUND),
        "hang_up": CrowdOptions(port, "hang_up", 20, ROUND),
        "endless": CrowdOptions(port, "endless", 20, ROUND),
    }

    async def again(kind: str, wanted: CrowdOptions) -> None:
        while time.monotonic() < until:
            found.note(kind, await apart(wanted))

    async def sample() -> None:
        while (now := time.monotonic()) < until:
            found.samples.append((now - began, memory(server.pids[0])["VmRSS"]))
            await asyncio.sleep(SAMPLE_INTERVAL)

    await asyncio.gather(sample(), *(again(kind, wanted) for kind, wanted in crowds.items()))
    return found


if __name__ == "__main__":
    app()
