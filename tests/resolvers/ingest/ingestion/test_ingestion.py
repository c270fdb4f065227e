"""Reports become jobs: what a worker makes of archives that nothing disturbs."""

import pytest

import documents
from tests.reports import report
from tests.resolvers.ingest.ingestion.ingesting import Server, a_job, a_runtime, the, works

pytestmark = pytest.mark.usefixtures("database")


async def test_a_report_becomes_jobs_of_the_active_generation() -> None:
    server = await Server.new()
    await server.sends(report(jobs=[a_job(1), a_job(2, state="error")], metric_num=[a_runtime(1, 12.5)]))
    ingestion = await server.queues()

    await works()

    generation, row = await server.generation(), await the(documents.Ingestion, ingestion)
    assert (generation["archives"], generation["jobs"], generation["folding"]) == (1, 2, None)
    assert await server.states() == {1: "ok", 2: "error"}
    assert (row["status"], row["attempt"], row["worker"], row["leaseExpiresAt"]) == ("SUCCEEDED", 1, "worker-0", None)
    assert row["start_timestamp"] <= row["end_timestamp"]
