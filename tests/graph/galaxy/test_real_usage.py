"""The one real report in public: the figures that the system it was made for used to publish come out of the graph."""

import tarfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import bson
import pytest

import documents
from documents.mongo.database import Database
from documents.mongo.transaction import in_transaction
from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.statistics.aggregates import add_usage
from resolvers.reads.rows import collection_of
from tests.support.asking import ask
from tests.support.builders import a_generation, an_archive, an_instance
from tests.support.needs import need_shared_data
from tests.support.reports import read


@pytest.fixture
def report() -> Path:
    (report,) = (need_shared_data() / "grt" / "real_v1").glob("*.tar.gz")
    return report


def rows_of(report: Path, kind: str) -> list[list[str]]:
    """The rows of a member, read without our reader."""
    with tarfile.open(report) as archive:
        (name,) = [name for name in archive.getnames() if name.endswith(f".{kind}.tsv")]
        member = archive.extractfile(name)
        assert member is not None
        return [line.split("\t") for line in member.read().decode().splitlines()[1:]]


async def ingested(report: Path) -> None:
    """Let a server have sent the report."""
    instance = an_instance(public=True)
    generation, archive = a_generation(instance), an_archive(instance)
    refs = {"instanceRef": instance.id, "generationRef": generation.id, "archiveRef": archive.id}
    reading = read(report.read_bytes(), prefix=RowPrefix(documents.Job.id_prefix(generation.id), refs))
    await instance.insert()
    await generation.insert()
    await collection_of(documents.Job).insert_many([bson.decode(row) for row in reading.raw])
    await in_transaction(lambda session: add_usage(generation.id, reading.cells, session))


async def test_tools_versions_and_servers_are_those_of_the_report(database: Database, report: Path) -> None:
    await ingested(report)
    await ingested(report)
    jobs = rows_of(report, "jobs")
    tools = Counter(tool for _, tool, *_ in jobs)
    versions = Counter((tool, version) for _, tool, version, *_ in jobs)
    failed = Counter(tool for _, tool, _, state, _ in jobs if state == "error")

    found = await ask("""{
      tools: toolUsage(first: 100) { toolId jobs failed instances }
      versions: toolUsage(first: 100, groupBy: [TOOL, TOOL_VERSION]) { toolId toolVersion jobs }
      all: toolUsage(groupBy: []) { jobs failed instances }
    }""")

    shown = {row["toolId"]: (int(row["jobs"]), int(row["failed"]), row["instances"]) for row in found["tools"]}
    assert shown == {tool: (2 * jobs, 2 * failed[tool], 2) for tool, jobs in tools.items()}
    assert [int(row["jobs"]) for row in found["tools"]] == sorted((2 * jobs for jobs in tools.values()), reverse=True)
    by_version = {(row["toolId"], row["toolVersion"]): int(row["jobs"]) for row in found["versions"]}
    assert by_version == {key: 2 * jobs for key, jobs in versions.items()}
    assert found["all"] == [{"jobs": "196", "failed": "44", "instances": 2}]


async def test_the_ten_bin_histograms_of_jobs_that_went_well_are_those_of_the_report(
    database: Database, report: Path
) -> None:
    await ingested(report)
    well = {id: tool for id, tool, _, state, _ in rows_of(report, "jobs") if state == "ok"}
    runs: defaultdict[str, list[float]] = defaultdict(list)
    for id, plugin, name, value in rows_of(report, "metric_num"):
        if (plugin, name) == ("core", "runtime_seconds") and id in well:
            runs[well[id]].append(float(value))

    found = await ask("""{ toolUsage(first: 100, where: {state: {eq: "ok"}}) {
      toolId runtimeSeconds { samples max relativeError histogram { from to count } }
    } }""")

    measured = {row["toolId"]: row["runtimeSeconds"] for row in found["toolUsage"] if row["runtimeSeconds"]}
    assert measured.keys() == runs.keys()
    assert sum(map(len, runs.values())) > 70
    for tool, seconds in runs.items():
        assert measured[tool]["samples"] == str(len(seconds))
        assert (measured[tool]["max"], measured[tool]["relativeError"]) == (max(seconds), 0)
        assert [(one["from"], int(one["count"])) for one in measured[tool]["histogram"]] == histogram(seconds)


def histogram(values: list[float]) -> list[tuple[Any, int]]:
    """Lower edges and counts as numpy.histogram gives them."""
    low, high = (min(values), max(values)) if min(values) < max(values) else (values[0] - 0.5, values[0] + 0.5)
    edges = [low + n * ((high - low) / 10) for n in range(10)] + [high]
    last = sum(edges[9] <= value <= high for value in values)
    counts = [sum(edges[n] <= value < edges[n + 1] for value in values) for n in range(9)]
    return [(pytest.approx(edge), count) for edge, count in zip(edges, [*counts, last], strict=False)]
