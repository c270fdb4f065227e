"""`make bench`: how fast this server answers, beside what a user could pick instead."""

import gc
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench import earlier as recalling
from tests.bench import growth as growing
from tests.bench import ingest as ingesting
from tests.bench import lineage as walking
from tests.bench import overload as overloading
from tests.bench import report
from tests.bench import start as starting
from tests.bench import usage as using
from tests.bench.compare import Advance, Comparison, Pace
from tests.bench.contest import as_json
from tests.bench.database import database as database_of_run
from tests.bench.database import set_cache
from tests.bench.postgres import CACHE
from tests.bench.provenance import ProvenanceGraph
from tests.bench.scale import FULL, ONE, SMALL, SMALLEST, Tree
from tests.bench.servers import ROOT, install_peers

T = TypeVar("T")

PEERS = ROOT.parent / "shared" / "peers"

# The JIT of Node needs about a second of short queries; with less the peers look slower than they are.
DEFAULT = Pace(warm_up=1.0, seconds=0.6, rounds=3)
QUICK = Pace(warm_up=0.3, seconds=0.2, rounds=1, thorough=False)
TINY = Pace(warm_up=0.0, seconds=0.0, rounds=1, thorough=False)

# Wider than a file is by default, so that a table written into one is not cut.
console = Console() if os.isatty(1) else Console(width=200)
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def bench(
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
    peers: Annotated[Path, typer.Option(help="The folder of the servers to compare with.")] = PEERS,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer, shorter turns after little warm-up: a rough picture in a minute.")
    ] = False,
    tiny: Annotated[bool, typer.Option("--tiny", help="A handful of documents: whether the benchmark works.")] = False,
    growth: Annotated[bool, typer.Option("--growth", help="Only how deep grows from 1× to 100×.")] = False,
    ingest: Annotated[bool, typer.Option("--ingest", help="Only how fast reports of servers become jobs.")] = False,
    usage: Annotated[bool, typer.Option("--usage", help="Only how fast usage of tools is told.")] = False,
    lineage: Annotated[
        bool,
        typer.Option("--lineage", help="Only how fast lineages are walked, beside PostgreSQL where it is installed."),
    ] = False,
    overload: Annotated[
        bool, typer.Option("--overload", help="Only what becomes of ten times the load, within what bounds.")
    ] = False,
    start: Annotated[
        bool,
        typer.Option("--start", help="Only what a start takes: CPU, time and memory; beside an earlier commit's, too."),
    ] = False,
    against: Annotated[
        str | None, typer.Option(help="Only beside the server of an earlier commit, such as HEAD~10.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1000, help="Jobs that --ingest takes, or --usage tells of.")] = 1_000_000,
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of each server.")] = None,
    database_url: Annotated[
        str | None, typer.Option(help="A MongoDB to use instead of one of its own; databases bench_* are made there.")
    ] = None,
) -> None:
    """Measure this server, its peers, the standard executor and a hand-written floor on one MongoDB, by turns.

    Their answers are compared first. Ratios of medians in one run are the point; times depend on the machine. The
    peers need node and npm, and are installed once into the user's cache folder. Takes about four minutes.
    """
    with database_of_run(database_url) as (url, database):
        if ingest:
            data = _ingest(url, database, 20_000 if tiny else jobs // 10 if quick else jobs)
        elif usage:
            data = _tell(url, 20_000 if tiny else jobs // 10 if quick else jobs)
        elif lineage:
            data = _walk(url, database, tiny, 1 if tiny else 2 if quick else 5)
        elif start:
            data = _start(url, against, 1 if tiny else rounds or (3 if quick else 7))
        elif growth:
            data = _grow(url)
        elif overload:
            data = _overload(url, 0.2 if tiny else 2.0 if quick else 6.0, SMALL if tiny else ONE)
        else:
            pace = TINY if tiny else QUICK if quick else DEFAULT
            pace = pace if rounds is None else replace(pace, rounds=rounds)
            data = _recall(url, against, pace, peers, tiny) if against else _compare(url, pace, peers, tiny)
    if json:
        json.write_bytes(as_json(data))
        console.print(f"Wrote {json}.")


def _compare(url: str, pace: Pace, folder: Path, tiny: bool) -> dict[str, Any]:
    sizes = SMALLEST if tiny else FULL
    with _progress() as advance:
        advance("installing the peers", 0)
        installed = install_peers(folder)
        if isinstance(installed, str):
            console.print(f"Without peers: {installed}.")
        peers = installed if isinstance(installed, Path) else None
        comparison = Comparison(url, sizes, pace, peers, folder, console.print, advance)
        measured = _run(comparison.run())
    console.print(report.table(measured))
    console.print(f"The asker itself manages {report.ceiling(measured):,.0f} short answers a second.")
    for name, ratio in report.ratios(measured).items():
        console.print(f"  {name:<28} {'not measured' if ratio is None else f'{ratio:.2f}'}")
    return report.as_data(measured, sizes)


def _recall(url: str, commit: str, pace: Pace, peers: Path, tiny: bool) -> dict[str, Any]:
    sizes = SMALLEST if tiny else FULL
    try:
        with _progress() as advance:
            found = _run(recalling.compare(url, commit, sizes, pace, peers, advance))
    except recalling.ComparisonError as error:
        raise typer.BadParameter(str(error), param_hint="--against") from None
    console.print(recalling.table(found))
    return {"against": {"commit": commit, "cases": [asdict(one) for one in found]}}


def _start(url: str, commit: str | None, repeats: int) -> dict[str, Any]:
    try:
        with _progress() as advance:
            found = {"now": _run(starting.measure(url, repeats, advance))}
            if commit is not None:
                source = recalling.checked_out(commit)
                found[commit] = _run(starting.measure(url, repeats, advance, source, recalling.version_of(source)))
    except recalling.ComparisonError as error:
        raise typer.BadParameter(str(error), param_hint="--against") from None
    console.print(starting.table(found))
    return {"start": {code: [asdict(cost) for cost in costs] for code, costs in found.items()}}


def _grow(url: str) -> dict[str, Any]:
    with _progress() as advance:
        grown = _run(growing.growth(url, advance))
    console.print(growing.table(grown))
    return {"growth": [asdict(one) for one in grown]}


def _walk(url: str, database: int | None, tiny: bool, repeats: int) -> dict[str, Any]:
    if database is not None:
        set_cache(url, CACHE)
    graph = ProvenanceGraph(400, 20) if tiny else ProvenanceGraph(166_667, 1_000)
    with _progress() as advance:
        found = _run(walking.measure(url, graph, [100] if tiny else [10_000, 1_000], repeats, advance))
    console.print(walking.table(found))
    if found.without_postgres:
        console.print(f"Without PostgreSQL: {found.without_postgres}.")
    return {"lineage": asdict(found)}


def _overload(url: str, seconds: float, tree: Tree) -> dict[str, Any]:
    with _progress() as advance:
        found = _run(overloading.overload(url, seconds, advance, tree))
    console.print(overloading.table(found))
    console.print("All bounds hold." if found.holds else "Some bounds are passed.")
    return {"overload": asdict(found)}


def _ingest(url: str, database: int | None, jobs: int) -> dict[str, Any]:
    with _progress() as advance:
        found = _run(ingesting.measure(url, database, jobs, advance))
    console.print(ingesting.table(found))
    return {"ingest": asdict(found)}


def _tell(url: str, jobs: int) -> dict[str, Any]:
    with _progress() as advance:
        found = _run(using.measure(url, jobs, advance))
    console.print(using.table(found))
    return {"usage": asdict(found)}


def _run(work: Coroutine[Any, Any, T]) -> T:
    # As the server does: what was imported need not be looked at by the collector while the floor is measured.
    gc.collect()
    gc.freeze()
    return uvloop.run(work)


@contextmanager
def _progress() -> Iterator[Advance]:
    """A bar that tells what is under way."""
    columns = (TextColumn("{task.description:<60}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)


if __name__ == "__main__":
    app()
