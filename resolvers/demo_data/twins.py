"""The sample's digital twins: a public one with a succeeded and a failed run, and a private one that runs.

Their components are registered like real ones.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import documents
from documents.activities.activity import ActivityError, ActivityStatus, CodeReference
from documents.mongo.transaction import Session
from documents.provenance.used import Used
from documents.twins.execution import WorkflowSchema
from documents.twins.output import AccessControl
from resolvers.access.viewer import ADMIN, Role, Viewer
from resolvers.provenance.external_data.external_state import Reporter
from resolvers.provenance.used import UsedValues, record_used
from resolvers.twins.register_component import ingest_component
from resolvers.validators import MAX_LINE_LENGTH
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.transaction import Outcome, run_in_transaction

DONE, FAILED, CANCELLED = ActivityStatus.SUCCEEDED, ActivityStatus.FAILED, ActivityStatus.CANCELLED
RUNNING = ActivityStatus.RUNNING
DESCRIPTIONS = Path(__file__).parent / "components"
REGISTRAR = Viewer(Role.WORKER)
BUCKET = "example-mobility-outputs"
COMPONENTS = {
    "traffic-counts-loader": "4c3f9d80e5a17c6bd9f40312cbead9f807162534",
    "road-network-builder": "5d40ae91f6b28d7ceaa51423dcfbea0918273645",
    "flow-simulator": "6e51bfa207c39e8dfbb62534ed0cfb1a29384756",
    "flow-dashboard": "7f62c0b318d4af9e0cc73645fe1d0c2b3a495867",
    "tool-load": "8a73d1c429e5b0af1dd84756af2e1d3c4b5a6978",
}
"""Components by name, each with the commit of its release."""
Releases = dict[str, documents.ComponentVersion]


@dataclass
class SampleStep:
    """A step to be stored: its component, status, dependencies and output file."""

    component: str
    status: ActivityStatus
    after: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    file: str | None = None
    error: ActivityError | None = None
    lines: list[str] = field(default_factory=list)
    used: list[UsedValues] = field(default_factory=list)


PUBLIC_TWIN = "Harbour city traffic"
WORKER = "demo-worker"

LOAD = SampleStep("traffic-counts-loader", DONE, [], {"CITY": "harbour", "YEAR": 2024}, "counts.parquet", None,
            ["Loading counts of harbour, 2024", "8,784 hours, 212 counters, 0.4 % missing"])  # fmt: skip
COUNTS = "https://counts.harbour.example/2024.csv"
"""Where the counts lie. They were corrected after the first run had read them."""
BUILD = SampleStep("road-network-builder", DONE, [], {"DETAIL": 0.6}, "network.xml", None,
             ["Reading the map", "41,208 links, 17,930 junctions"])  # fmt: skip
SIMULATE = ["traffic-counts-loader", "road-network-builder"]


async def twins_are_stored() -> bool:
    """Whether the twins are stored, even if somebody has renamed them or transferred them since.

    A step keeps its worker, whatever becomes of its twin; before it is stored, its twin has the name given here.
    """
    twin = await documents.DigitalTwin.find_one(documents.DigitalTwin.name == PUBLIC_TWIN)
    return twin is not None or await documents.Step.find_one(documents.Step.worker == WORKER) is not None


async def store_twins() -> None:
    """Store components, and a researcher with two twins, their runs, logs, outputs and a result."""
    releases = await register_components()
    researcher = await find_or_store_researcher()
    started_at = datetime(2025, 3, 3, 8, 0, tzinfo=UTC)

    finished = [
        LOAD,
        BUILD,
        SampleStep("flow-simulator", DONE, SIMULATE, {"ITERATIONS": 25, "SEED": 7}, "flows.csv", None,
             ["Round 25 of 25", "Flows have settled: largest change 0.3 %"]),
        SampleStep("flow-dashboard", DONE, ["flow-simulator"], {"THEME": "light"}, "dashboard.zip"),
    ]  # fmt: skip
    failed = [
        LOAD,
        BUILD,
        SampleStep("flow-simulator", FAILED, SIMULATE, {"ITERATIONS": 1000, "SEED": 7}, None,
             ActivityError(code="OUT_OF_MEMORY", message="The simulation needed more than 16 GiB.", retryable=False),
             ["Round 311 of 1000", "Killed: out of memory"]),
        SampleStep("flow-dashboard", CANCELLED, ["flow-simulator"]),
    ]  # fmt: skip
    finished[0] = replace(LOAD, used=[{"url": COUNTS, "version": "2025-03-01"}])
    failed[0] = replace(LOAD, used=[{"url": COUNTS, "version": "2025-03-04"}])
    at_work = [LOAD, SampleStep("flow-simulator", RUNNING, ["traffic-counts-loader"], {"ITERATIONS": 50, "SEED": 1})]

    public = await store_twin(researcher, PUBLIC_TWIN, public=True)
    private = await store_twin(researcher, "Valley commuting", public=False)
    run = await store_execution(public, "Weekday flows 2024", DONE, finished, releases, started_at)
    await store_execution(
        public, "Weekday flows 2024, 1,000 rounds", FAILED, failed, releases, started_at + timedelta(days=1)
    )
    await store_execution(private, "First try", RUNNING, at_work, releases, started_at + timedelta(days=9))
    await _store_result(run, "Weekday flows 2024: files for the report")


async def register_components() -> Releases:
    """The versions of all components, which are registered unless they are already."""
    return {name: await _register_component(name, commit) for name, commit in COMPONENTS.items()}


async def find_or_store_researcher() -> documents.User:
    """The researcher, who is there already if an earlier demo was killed before it stored the twins."""
    name = "demo-researcher"
    found = await documents.User.find_one(documents.User.display_name == name)
    return found or await documents.User(display_name=name, github="example-mobility-lab").insert()


async def _register_component(name: str, commit: str) -> documents.ComponentVersion:
    description = (DESCRIPTIONS / f"{name}.yml").read_text(encoding="utf-8")
    version = description.split('component-version: "')[1].split('"')[0]
    inputs = {
        "repo_link": f"https://github.com/example-mobility-lab/{name}",
        "commit_hash": commit,
        "version": f"v{version}",
        "odtp_yml": description,
    }

    async def work(session: Session) -> Outcome:
        return await ingest_component(session, REGISTRAR, **inputs)

    outcome = await run_idempotent(REGISTRAR, "ingestComponent", inputs, f"sample-{name}", work)
    release: documents.ComponentVersion = documents.ComponentVersion.model_validate(outcome["component_version"])
    return release


async def store_twin(owner: documents.User, name: str, *, public: bool) -> documents.DigitalTwin:
    """Store a digital twin."""
    twin = documents.DigitalTwin(owner_ref=owner.id, name=name, public=public)
    await twin.insert()
    return twin


async def store_execution(
    twin: documents.DigitalTwin,
    title: str,
    status: ActivityStatus,
    samples: list[SampleStep],
    releases: Releases,
    started_at: datetime,
) -> documents.Execution:
    """Store an execution with its steps, a step every 20 minutes."""
    ended_at = started_at + timedelta(minutes=20 * len(samples))
    execution = documents.Execution(
        digital_twin_ref=twin.id,
        owner_ref=twin.owner_ref,
        public=twin.public,
        title=title[:MAX_LINE_LENGTH],
        tags=["traffic"],
        status=status,
        workflow_schema=WorkflowSchema(
            workflow_executor="provenance-graph",
            workflow_executor_version="1",
            component_versions=[releases[sample.component].id for sample in samples],
        ),
        start_timestamp=started_at,
        end_timestamp=None if status is RUNNING else ended_at,
    )
    await execution.insert()
    ids = {sample.component: documents.base.new_id("step") for sample in samples}
    for ordinal, sample in enumerate(samples):
        await _store_step(
            execution, ordinal, sample, releases[sample.component], ids, started_at + timedelta(minutes=20 * ordinal)
        )
    return execution


async def _store_step(
    execution: documents.Execution,
    ordinal: int,
    sample: SampleStep,
    release: documents.ComponentVersion,
    ids: dict[str, str],
    started_at: datetime,
) -> None:
    component = await documents.Component.get(release.component_ref)
    ran = sample.status in (DONE, FAILED, RUNNING)
    step = documents.Step(
        id=ids[sample.component],
        execution_ref=execution.id,
        component_version_ref=release.id,
        owner_ref=execution.owner_ref,
        public=execution.public,
        key=sample.component,
        ordinal=ordinal,
        type=component.type if component else "ephemeral",
        status=sample.status,
        code=[CodeReference(repository=component.repo_link if component else "", commit=release.commit_hash)],
        attempt=int(ran),
        worker=WORKER if ran else None,
        parameters=json.dumps(sample.parameters),
        depends_on=[ids[name] for name in sample.after],
        started_at=started_at if ran else None,
        ended_at=started_at + timedelta(minutes=18) if sample.status in (DONE, FAILED) else None,
        error=sample.error,
        used=await _used(execution, sample, [ids[name] for name in sample.after]) if ran else None,
    )
    await step.insert()
    for sequence, line in enumerate(sample.lines, start=1):
        at = started_at + timedelta(minutes=sequence)
        await documents.LogEntry(activity_ref=step.id, sequence=sequence, timestamp=at, message=line).insert()
    if sample.file and sample.status is DONE:
        await _store_output(step, sample.file)


async def _used(execution: documents.Execution, sample: SampleStep, before: list[str]) -> list[Used] | None:
    """The artifacts that a step used: those that the sample names, and the outputs of the steps before it. None where
    there is neither."""
    outputs = await documents.Output.find({"stepRef": {"$in": before}}).to_list()
    values = [*sample.used, *(UsedValues(id=output.id) for output in outputs)]
    reporter = Reporter(execution.owner_ref, execution.public)

    async def work(session: Session) -> Outcome:
        return {"used": await record_used(values, reporter, ADMIN, session)}

    used: list[Used] = (await run_in_transaction(work))["used"]
    return used or None


async def _store_output(step: documents.Step, file_name: str) -> None:
    await documents.Output(
        step_ref=step.id,
        owner_ref=step.owner_ref,
        file_name=file_name,
        file_size=1_048_576 * (step.ordinal + 1),
        file_type="application/octet-stream",
        bucket=BUCKET,
        key=f"{step.id}/{file_name}",
        access_control=AccessControl(public=step.public),
    ).insert()


async def _store_result(execution: documents.Execution, title: str) -> None:
    steps = await documents.Step.find(documents.Step.execution_ref == execution.id).to_list()
    outputs = await documents.Output.find({"stepRef": {"$in": [step.id for step in steps]}}).to_list()
    await documents.Result(
        digital_twin_ref=execution.digital_twin_ref,
        execution_ref=execution.id,
        owner_ref=execution.owner_ref,
        public=execution.public,
        title=title,
        output_refs=[output.id for output in outputs],
    ).insert()
