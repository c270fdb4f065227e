"""The benchmark itself: it takes minutes with real sizes, and seconds with a handful of documents."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from multiprocessing import forkserver
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

import documents
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from tests.bench import servers
from tests.bench.__main__ import app
from tests.bench.agree import first_difference, normalise
from tests.bench.catalogues import levels_of as catalogue_levels
from tests.bench.compare import Measurement
from tests.bench.contest import Figures
from tests.bench.overload import BOUNDS
from tests.bench.report import ratios
from tests.bench.scale import GROWTH, SMALLEST
from tests.bench.trees import levels_of as tree_levels
from tests.support.forking import Forked
from tests.support.patience import within
from tests.support.running import COMMAND, Process

ROOT = Path(__file__).resolve().parents[1]
RATIOS = {
    "deep_latency_vs_peer",
    "deep_throughput_vs_peer",
    "flat_throughput_vs_peer",
    "point_throughput_vs_peer",
    "point_latency_vs_peer",
    "deep_latency_vs_reference",
    "deep_latency_vs_floor",
}
TEN_MS = 10.0
LONG = within(600)
"""Seconds that a benchmark may take, of which it takes ten or twenty on a quiet machine."""

pytestmark = pytest.mark.timeout(2 * LONG)


@pytest.fixture(autouse=True)
def fork_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers and workers of this code be forks of one process that has loaded it."""
    # It would keep its socket in the temporary directory of the first test that needs it.
    forkserver.ensure_running()
    popen = servers.start

    def start(command: Sequence[str], folder: Path, environment: dict[str, str], said: Path) -> Process:
        if tuple(command[:1]) == COMMAND:
            return Forked(command, cwd=folder, env=environment, stdout=said)
        return popen(command, folder, environment, said)

    monkeypatch.setattr(servers, "start", start)


def bench(*options: str) -> str:
    """The output of the benchmark, which runs in this process."""
    done = CliRunner().invoke(app, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_without_peers_it_says_so_measures_everything_else_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, temporary = tmp_path / "figures.json", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    said = bench("--tiny", "--json", str(file), "--peers", str(tmp_path / "nobody"))

    assert "Without peers: there is no package.json in" in said
    figures = orjson.loads(file.read_bytes())
    assert figures["ratios"].keys() == RATIOS
    measured = {name for name, ratio in figures["ratios"].items() if ratio is not None}
    assert measured == {"deep_latency_vs_reference", "deep_latency_vs_floor"}
    by_one = {one["case"] for one in figures["medians"] if one["connections"] == 1}
    assert by_one == {"deep", "flat", "point", "catalogue chain", "page of 20, counted", "first 3 of many", "mutation"}
    assert all(one["figures"][name]["ms"] > 0 for one in figures["medians"] for name in one["figures"])
    assert not list(temporary.iterdir())


def test_what_becomes_of_ten_times_the_load_is_measured_with_its_bounds(tmp_path: Path, mongod: EmbeddedMongo) -> None:
    file = tmp_path / "figures.json"

    bench("--overload", "--tiny", "--json", str(file), "--database-url", mongod.uri)

    found = orjson.loads(file.read_bytes())["overload"]
    assert found["figures"].keys() == BOUNDS.keys()
    assert found["figures"]["ended by the system"] == 0
    assert found["peak"] > 0


def test_how_fast_reports_become_jobs_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    said = bench("--ingest", "--jobs", "1000", "--json", str(file))

    figures = orjson.loads(file.read_bytes())["ingest"]
    assert figures["jobs"] == 1000
    assert all(figures[name] > 0 for name in ("one", "bare", "one_worker", "two_workers", "memory"))
    assert "two workers to one" in said


def test_how_fast_usage_is_told_is_measured(tmp_path: Path, mongod: EmbeddedMongo) -> None:
    file = tmp_path / "figures.json"

    said = bench("--usage", "--jobs", "1000", "--rounds", "1", "--json", str(file), "--database-url", mongod.uri)

    figures = orjson.loads(file.read_bytes())["usage"]
    assert figures["jobs"] == 1000
    assert all(one["longest_ms"] >= one["ms"] > 0 for one in figures["told"])
    assert "tools by month" in said


def test_the_cost_of_a_start_is_measured(tmp_path: Path, mongod: EmbeddedMongo) -> None:
    file = tmp_path / "figures.json"

    said = bench("--start", "--tiny", "--json", str(file), "--database-url", mongod.uri)

    costs = orjson.loads(file.read_bytes())["start"]["now"]
    assert [cost["started"] for cost in costs] == ["serve until /readyz", "--help", "an unknown option"]
    assert all(cost[name] > 0 for cost in costs for name in ("cpu_seconds", "wall_seconds"))
    assert costs[0]["mebibytes"] > 0
    assert "serve until /readyz" in said


def test_how_fast_lineages_are_walked_is_measured_where_there_is_no_postgresql(
    tmp_path: Path, mongod: EmbeddedMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "figures.json"
    monkeypatch.setattr("tests.bench.postgres.PROGRAMS", ("no-such-program",))

    said = bench("--lineage", "--tiny", "--json", str(file), "--database-url", mongod.uri)

    found = orjson.loads(file.read_bytes())["lineage"]
    assert "Without PostgreSQL: no-such-program of PostgreSQL cannot be found." in said
    (walk,) = found["walks"]
    assert (found["edges"], walk["postgres_ms"]) == (2_400, None)
    assert walk["edges"] >= walk["nodes"] - 1 > 50
    assert walk["nested_queries"] > walk["together_queries"] > 1
    assert all(walk[name] > 0 for name in ("ms", "nested_ms", "together_ms", "bytes"))


def test_this_server_is_measured_beside_that_of_an_earlier_commit(
    tmp_path: Path, mongod: EmbeddedMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "figures.json"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    said = bench("--tiny", "--against", "HEAD", "--json", str(file), "--database-url", mongod.uri)

    cases = orjson.loads(file.read_bytes())["against"]["cases"]
    assert {one["case"] for one in cases} == {"deep", "flat", "point", "catalogue chain", "mutation"}
    assert all(one["now"]["ms"] > 0 and one["then"]["ms"] > 0 for one in cases)
    assert "times as fast" in said
    (earlier,) = (tmp_path / "provenance-graph").glob("bench-*")
    assert compiled_parts(earlier) == compiled_parts(ROOT)


def compiled_parts(folder: Path) -> set[Path]:
    return {part.relative_to(folder) for part in (folder / "documents").rglob("*.so")}


def test_a_commit_that_is_none_is_refused_by_the_benchmark_as_it_is_started(mongod: EmbeddedMongo) -> None:
    options = ["--tiny", "--against", "no-such-commit", "--database-url", mongod.uri]
    command = [sys.executable, "-m", "tests.bench", *options]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONG, check=False)

    assert done.returncode == 2
    assert "no-such-commit" in done.stderr


async def test_documents_are_stored_as_the_server_stores_them(database: Database) -> None:
    levels = [*tree_levels(SMALLEST.small), *catalogue_levels(SMALLEST.catalogue)]

    for level in levels:
        await database[level.collection].insert_many(level.rows())

    for level in levels:
        kept = await type(level.like).find_all().to_list()
        stored = {row["_id"]: row async for row in database[level.collection].find()}
        assert len(kept) == level.count
        for document in kept:
            await document.replace()
        assert {row["_id"]: row async for row in database[level.collection].find()} == stored


async def test_every_parent_has_as_many_children_as_its_scale_says(database: Database) -> None:
    tree = SMALLEST.small

    for level in tree_levels(tree):
        await database[level.collection].insert_many(level.rows())

    for child, path, parents, each in (
        (documents.DigitalTwin, "userRef", tree.levels[0], tree.twins),
        (documents.Execution, "digitalTwinRef", tree.levels[1], tree.executions),
        (documents.Step, "executionRef", tree.levels[2], tree.steps),
        (documents.Output, "stepRef", tree.levels[3], tree.outputs),
    ):
        groups = await child.aggregate([{"$group": {"_id": f"${path}", "children": {"$sum": 1}}}]).to_list()
        assert [group["children"] for group in groups] == [each] * parents


def test_no_scale_grows_past_a_page_of_a_hundred_and_each_is_ten_times_the_last() -> None:
    sizes = [(tree.users, tree.twins, tree.executions, tree.steps, tree.outputs) for tree in GROWTH.values()]

    assert [tree.objects for tree in GROWTH.values()] == [4_520, 45_193, 452_030]
    for smaller, larger in pairwise(sizes):
        assert all(few < many <= 100 for few, many in zip(smaller, larger, strict=True))


def test_answers_agree_when_only_the_spelling_of_times_and_the_order_of_fields_differ() -> None:
    one = normalise(b'{"data":{"a":1,"at":"2026-01-05T08:00:00.000Z"}}')
    other = normalise(b'{"data":{"at":"2026-01-05T09:00:00+01:00","a":1}}')

    assert one["data"]["at"] == datetime.fromisoformat("2026-01-05T08:00:00Z")
    assert first_difference(one, other) is None
    assert first_difference(one, normalise(b'{"data":{"at":"2026-01-05T08:00:01Z","a":1}}')) is not None
    assert first_difference({"a": [1, 2]}, {"a": [1, 3]}) == "answer.a[1]: 2 against 3"


def test_ratios_are_against_the_fastest_peer_and_say_how_many_times_faster() -> None:
    def line(case: str, scale: str, connections: int, processes: int = 1, **ms: float) -> Measurement:
        # A peer that is slow to answer but answers many at a time is the fastest where that counts.
        figures = {name: Figures(one, one, 1000 / one * connections, one, 1) for name, one in ms.items()}
        return Measurement(case, scale, connections, processes, figures)

    found = ratios(
        [
            line("deep", "large", 1, plan=TEN_MS, mercurius=30, yoga=40, reference=200, floor=8),
            line("deep", "small", 16, 2, plan=TEN_MS, yoga=35),
            line("flat", "lists", 16, plan=TEN_MS, mercurius=20, apollo=25),
            line("point", "lists", 16, plan=TEN_MS, mercurius=50, apollo=25),
            line("point", "lists", 1, plan=TEN_MS, mercurius=5),
        ]
    )

    assert found == {
        "deep_latency_vs_peer": pytest.approx(3),
        "deep_throughput_vs_peer": pytest.approx(3.5),
        "flat_throughput_vs_peer": pytest.approx(2),
        "point_throughput_vs_peer": pytest.approx(2.5),
        "point_latency_vs_peer": pytest.approx(0.5),
        "deep_latency_vs_reference": pytest.approx(20),
        "deep_latency_vs_floor": pytest.approx(1.25),
    }
