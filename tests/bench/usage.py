"""The speed of `toolUsage` of a real server, over counts as ingested reports would have left them.

Jobs themselves are not stored: no question here looks at them. Tools are used as unevenly as people use them: the n-th
tool a n-th as often as the first.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import orjson

import documents
from documents.base import new_id
from documents.galaxy.generation import GenerationStatus
from documents.migrations import record_newest_version
from documents.mongo.database import make_client, open_database
from documents.mongo.transaction import in_transaction
from resolvers.galaxy.report.usage.cells import Cell, bin_of
from resolvers.galaxy.report.usage.counter import MAX_CHUNK_CELLS
from resolvers.galaxy.statistics.aggregates import add_usage
from tests.bench.load import Address, ask
from tests.bench.servers import Servers
from tests.support.builders import a_generation, an_instance

DATABASE = "bench_usage"
TOOLS, VERSIONS, MONTHS = 1500, 3, 24
STATES = ["ok"] * 16 + ["error"] * 2 + ["deleted", "new", "paused"]
BEGAN = date(2019, 1, 1)
REPEATS = 7
TOOL = "toolshed.example.org/repos/owner/suite_{0}/tool_{0}"
RUNTIMES = "runtimeSeconds { p50 p90 p99 max samples relativeError histogram { from to count } }"
WINDOW = 'where: {createdAt: {gte: "2019-03-05T00:00:00Z", lt: "2019-04-05T00:00:00Z"}}'
QUESTIONS = {
    "tools": "toolUsage { toolId jobs failed instances }",
    "months": "toolUsage(groupBy: [MONTH]) { periodStart jobs failed }",
    "tools by month": "toolUsage(groupBy: [TOOL, MONTH]) { toolId periodStart jobs failed instances }",
    "days, 100 of them": "toolUsage(groupBy: [DAY], first: 100) { periodStart jobs failed }",
    "states by month": "toolUsage(groupBy: [STATE, MONTH], first: 100) { state periodStart jobs }",
    "versions of all tools": "toolUsage(groupBy: [TOOL, TOOL_VERSION]) { toolId toolVersion jobs }",
    "versions of one tool": f'toolUsage(groupBy: [TOOL_VERSION], where: {{toolId: {{eq: "{TOOL.format(3)}"}}}}) '
    f"{{ toolVersion jobs {RUNTIMES} }}",
    "tools in 31 days": f"toolUsage({WINDOW}) {{ toolId jobs }}",
    "runtimes of tools": f"toolUsage {{ toolId {RUNTIMES} }}",
    "runtimes of tools by month": f"toolUsage(groupBy: [TOOL, MONTH]) {{ toolId periodStart {RUNTIMES} }}",
    "runtimes of tools, ranked": f"toolUsage(orderBy: {{field: RUNTIME_P50}}) {{ toolId {RUNTIMES} }}",
}
Advance = Callable[[str, float], None]


@dataclass(frozen=True)
class QuestionTime:
    """Milliseconds until a question is answered, over HTTP: the median, and the longest of a few."""

    question: str
    ms: float
    longest_ms: float


@dataclass(frozen=True)
class Usage:
    """The time of each question about the usage of so many jobs, and the time to add that usage."""

    jobs: int
    cells: int
    adding_seconds: float
    told: list[QuestionTime]


def table(found: Usage) -> str:
    """The figures in words."""
    lines = [
        f"{found.jobs:,} jobs of {TOOLS:,} tools in {VERSIONS} versions over {MONTHS} months, in {found.cells:,} cells",
        f"{'Adding their usage, of a million jobs':<44}{found.adding_seconds * 1e6 / found.jobs:>12.1f} s",
        *(f"{one.question:<44}{one.ms:>12.1f} ms{one.longest_ms:>10.1f} at most" for one in found.told),
    ]
    return "\n".join(lines)


async def measure(url: str, jobs: int, advance: Advance) -> Usage:
    """Add the usage of so many jobs, and ask a server that has just been started."""
    client = make_client(url)
    try:
        await client.drop_database(DATABASE)
        await open_database(client[DATABASE])
        await record_newest_version(client[DATABASE])
        cells, seconds = await _fill(jobs, advance)
        with Servers(url, None) as servers:
            server = servers.ours("plan", DATABASE)
            await server.until_it_answers()
            found = [await _measure_question(server.addresses[0], name) for name in QUESTIONS]
    finally:
        await client.drop_database(DATABASE)
        await client.close()
    return Usage(jobs, cells, seconds, found)


async def _measure_question(address: Address, name: str) -> QuestionTime:
    request = address.request(f"{{ {QUESTIONS[name]} }}")
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        answer = orjson.loads(await ask(address, request))
        took.append(1000 * (time.perf_counter() - began))
        assert "errors" not in answer, answer
        # The pause keeps the clean-up after one question out of the time of the next one.
        await asyncio.sleep(0.05)
    return QuestionTime(name, median(took), max(took))


async def _fill(jobs: int, advance: Advance) -> tuple[int, float]:
    instance = an_instance(public=True)
    generation = a_generation(instance, id=new_id("generation"), status=GenerationStatus.ACTIVE)
    await instance.insert()
    await generation.insert()
    number, seconds = 0, 0.0
    for cells, share in _chunks(jobs):
        advance(f"adding the usage of {jobs:,} jobs", share)
        began = time.perf_counter()
        await _add(generation, cells)
        seconds += time.perf_counter() - began
        number += len(cells)
    return number, seconds


async def _add(generation: documents.Generation, cells: list[Cell]) -> None:
    await in_transaction(lambda session: add_usage(generation.id, cells, session))


def _chunks(jobs: int) -> Iterator[tuple[list[Cell], float]]:
    """The cells of jobs, day by day, in chunks as the parser gives them; with the share that is done."""
    chance, days, held = random.Random(1), 30 * MONTHS, list[Cell]()
    weights = [1 / (tool + 1) for tool in range(TOOLS)]
    for day in range(days):
        cells: dict[tuple[int, int, str], Cell] = {}
        for tool in chance.choices(range(TOOLS), weights, k=jobs // days):
            place = tool, chance.randrange(VERSIONS), chance.choice(STATES)
            cell = cells.get(place)
            if cell is None:
                at = (BEGAN + timedelta(days=day)).isoformat()
                cell = cells[place] = Cell(TOOL.format(tool), f"1.{place[1]}", place[2], at)
            _count(cell, float(int(chance.lognormvariate(4, 1.5)) + 1))
        held += cells.values()
        if len(held) >= MAX_CHUNK_CELLS or day == days - 1:
            yield held, day / days
            held = []


def _count(cell: Cell, seconds: float) -> None:
    cell.jobs += 1
    if cell.state in ("ok", "error"):
        bin = bin_of(seconds)
        cell.runtimes[bin] = cell.runtimes.get(bin, 0) + 1
        cell.shortest = seconds if cell.shortest is None else min(cell.shortest, seconds)
        cell.longest = seconds if cell.longest is None else max(cell.longest, seconds)
