"""Real data for comparing answers: of every kind something full, something with nulls, and something with gaps.

`World.begin` keeps it in a database. What is private, shared and public belongs to three users, so that each of the
`viewers` sees another part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import UpdateOne

import documents
from documents.activities.activity import ActivityError, ActivityStatus, CodeReference
from documents.activities.log_entry import LogLevel
from documents.catalogue.distribution import CsvwColumn
from documents.catalogue.resource import CodeProvider, CodeRepo, MonitorDir, SourceFile
from documents.catalogue.transform import TransformCause, TransformCauseKind, TransformDetails
from documents.galaxy.archive import StateCount
from documents.galaxy.generation import GenerationStatus
from documents.galaxy.ingestion import IngestionKind
from documents.galaxy.ingestion_part import IngestionCounts
from documents.galaxy.job import DatasetDirection, JobDataset, JobMetric, JobParameter
from documents.provenance.used import Used
from documents.twins.component_version import ParameterDefinition, PortDefinition
from documents.twins.execution import WorkflowSchema
from documents.twins.output import OutputType
from documents.twins.workflow import WorkflowStep
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support import builders as new
from tests.support.builders import keep
from tests.support.usage_documents import usage_of

START = datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC)
JSON_TEXT = '{"b": 1.0, "a.b": [1e2, null, "é\\u00e9"],\n "$where": 12345678901234567890}'
HASH = "0a" * 32
ERROR = ActivityError(code="EXIT_CODE", message='it "failed"\nbadly', retryable=True)


@dataclass
class World:
    """The stored documents, and the viewers who ask for them."""

    kept: list[documents.Document] = field(default_factory=list)
    viewers: dict[str, Viewer] = field(default_factory=dict)

    def ids(self, kind: str | None = None) -> list[str]:
        """The ids of everything, or of everything of a kind."""
        return [one.id for one in self.kept if kind in (None, one.kind)]

    async def begin(self) -> None:
        """Keep everything. Every second document lacks the fields that are null or empty lists in it."""
        await keep(*self.kept)
        for document in {type(one) for one in self.kept}:
            rows, changes = document.get_pymongo_collection(), list[UpdateOne]()
            for row in (await rows.find({}, sort=[("_id", 1)]).to_list())[::2]:
                if gaps := {name: "" for name, value in row.items() if value in (None, [])}:
                    changes.append(UpdateOne({"_id": row["_id"]}, {"$unset": gaps}))
            if changes:
                await rows.bulk_write(changes, ordered=False)


def a_world() -> World:
    """Three users with private and public twins, a registry of components, and a catalogue."""
    people = [new.a_user(github="owner", oidc_subject="owner"), new.a_user(email=None), new.a_user(github="ünïcode 🜁")]
    owner, stranger, friend = people
    registry = _a_registry()
    versions = [one for one in registry if isinstance(one, documents.ComponentVersion)]
    twins = [_a_twin(owner, versions, friend, public=True), _a_twin(owner, versions, friend, public=False)]
    twins.append(_a_twin(stranger, versions, friend, public=False, readers=[friend.id]))
    _link(*twins)
    viewers = {
        "anonymous": ANONYMOUS,
        "owner": Viewer(Role.USER, owner.id),
        "stranger": Viewer(Role.USER, stranger.id),
        "authorised": Viewer(Role.USER, friend.id),
        "worker": Viewer(Role.WORKER),
        "admin": Viewer(Role.ADMIN),
    }
    servers = [*_a_server(owner, stranger, public=False), *_a_server(stranger, public=True), *_a_server(public=True)]
    catalogue = _a_catalogue()
    rest = [*catalogue, *_tokens(owner, stranger, catalogue), *servers, *_external_data(owner, stranger)]
    world = World([*people, *registry, *(one for twin in twins for one in twin), *rest], viewers)
    _link_families(world)
    return world


def _tokens(owner: documents.User, stranger: documents.User, catalogue: list[Any]) -> list[Any]:
    """Tokens of two users, of which everything is known or nothing, and two that are bound."""
    organisation = next(one for one in catalogue if isinstance(one, documents.Organisation))
    resource = next(one for one in catalogue if isinstance(one, documents.Resource))
    times = {"expires_at": START, "last_used_at": START, "revoked_at": START}
    return [
        new.a_token(owner, name="é", **times),
        new.a_token(owner),
        new.a_token(stranger, role="ADMIN"),
        new.a_token(None, organisation_ref=organisation.id),
        new.a_token(None, resource_ref=resource.id),
    ]


def _external_data(owner: documents.User, stranger: documents.User) -> list[Any]:
    """States of two URLs, of which all or nothing is known, public ones, the owner's and the stranger's."""
    full = {"version": "é", "sha256": HASH, "size_bytes": 2**53 + 1, "media_type": "text/csv"}
    kept = [new.external_data(url="gs://bucket/a?.csv", public=True, created_at=START, **full)]
    for number, owners in enumerate([(owner,), (stranger,), (stranger, owner)]):
        kept.append(new.external_data(*owners, url=kept[0].url, version=str(number)))
    return [*kept, new.external_data(public=True, created_at=START + timedelta(days=1))]


def _a_server(*owners: documents.User, public: bool) -> list[Any]:
    """An instance with a report of which everything is known, one that replaced it, and one that cannot be read."""
    place = {"latitude": -89.5, "longitude": 7.0, "description": "d"} if owners else {"url": None, "title": None}
    instance = new.an_instance(*owners, public=public, **place)
    last = new.an_archive(instance, metadata=JSON_TEXT, size_bytes=2**40, generated_at=START)
    counts = [StateCount(state="ok", count=2**53 + 1), StateCount(state="é", count=0)]
    full = {"declared_jobs": counts, "active_users": 3, "total_users": 2, "generated_at": START, "received_at": START}
    first = new.an_archive(instance, identifier=last.identifier, current=False, superseded_by_ref=last.id, **full)
    unreadable = new.an_archive(instance, schema_version=None, quarantine="It has no version.")
    generations = [
        new.a_generation(instance, content_hash=HASH[:32], jobs=2**53 + 1, archives=1, activated_at=START),
        new.a_generation(instance, status=GenerationStatus.RETIRED, reason="é"),
        new.a_generation(instance, status=GenerationStatus.DISCARDED),
    ]
    kept = [one for generation in generations for one in _an_ingestion(instance, generation, [first, last])]
    return [instance, first, last, unreadable, *generations, *kept, new.an_ingestion(instance, dry_run=True)]


def _an_ingestion(
    instance: documents.Instance, generation: documents.Generation, archives: list[documents.Archive]
) -> list[Any]:
    """An ingestion that has read one report and is reading another, with jobs of which all or nothing is known."""
    ran: dict[str, Any] = {"attempt": 1, "worker": "w", "lease_expires_at": START, "started_at": START}
    ingestion = new.an_ingestion(
        instance,
        generation,
        purpose=IngestionKind.REPROCESS,
        reason="r",
        error=ERROR,
        status=ActivityStatus.RUNNING,
        **ran,
    )
    counts = IngestionCounts(jobs=2**53 + 1, metrics=3, datasets=2, parameters=1, duplicates=1, rejected=2)
    done = {"status": ActivityStatus.SUCCEEDED, "declared": 3, "done": 3, "counts": counts}
    parts = [new.a_part(ingestion, archives[0], **done), new.a_part(ingestion, archives[1])]
    rejections = [
        new.a_rejection(parts[0], number, excerpt=excerpt, code=code)
        for number, (excerpt, code) in enumerate([("1\tü", "BAD_NUMBER"), (None, "MALFORMED_ROW")])
    ]
    jobs = _jobs(generation, archives[0])
    return [ingestion, *parts, *rejections, new.a_log_entry(ingestion), *jobs, *usage_of(jobs)]


def _jobs(generation: documents.Generation, archive: documents.Archive) -> list[documents.Job]:
    metrics = [("core", "runtime_seconds", "12.5000"), ("core", "galaxy_slots", "1e400"), ("env", "path", "/bin")]
    full: dict[str, Any] = {
        "tool_version": "1.0",
        "state": "error",
        "created_at": START,
        "runtime_seconds": 12.5,
        "metrics": [JobMetric(plugin=plugin, name=name, text=text) for plugin, name, text in metrics],
        "datasets": [
            JobDataset(external_id=2**53 + 1, direction=DatasetDirection.INPUT, size_bytes=2**40),
            JobDataset(external_id=2, direction=DatasetDirection.OUTPUT, extension="é", parameter_name="p"),
        ],
        "parameters": [JobParameter(name="p", value=JSON_TEXT), JobParameter(name="q", value="null")],
    }
    times = [START, None, START + timedelta(days=1)]
    jobs = [new.a_job(generation, archive, created_at=at, runtime_seconds=n or None) for n, at in enumerate(times)]
    return [new.a_job(generation, archive, external_id=2**53 + 1, **full), *jobs]


def _a_registry() -> list[Any]:
    full = new.a_component(title="Title", author="A", description="", tags=["a", "b"], status="odd", type="interactive")
    bare = new.a_component()
    parameters = [
        ParameterDefinition(name="n", datatype="float", default_value="1.50", minimum=-0.5, maximum=3, options=["1"]),
        ParameterDefinition(name="bare", datatype="str"),
    ]
    versions = [
        new.a_component_version(
            full,
            component_version="1.0",
            docker_hub_link="https://hub.example",
            title="t",
            description="d",
            tags=["x"],
            parameters=parameters,
            ports=[PortDefinition(name="p", description="d", container_port=8080)],
            secrets=["s"],
            metadata=JSON_TEXT,
            created_at=START,
        ),
        new.a_component_version(full, is_deprecated=True),
        new.a_component_version(bare),
    ]
    full.latest_version_ref = versions[0].id
    return [full, bare, *versions]


def _a_twin(
    owner: documents.User,
    versions: list[documents.ComponentVersion],
    friend: documents.User,
    *,
    public: bool,
    readers: Sequence[str] = (),
) -> list[Any]:
    twin = new.a_twin(owner, public=public, reader_refs=list(readers), status="waiting")
    workflow = WorkflowSchema(
        workflow_executor="e",
        workflow_executor_version="1",
        component_versions=[versions[1].id, versions[0].id, "release_none", versions[1].id],
        workflow_executor_schema=JSON_TEXT,
    )
    full = new.an_execution(
        twin,
        description="d",
        tags=["red", "blue"],
        status=ActivityStatus.FAILED,
        workflow_schema=workflow,
        start_timestamp=START,
        end_timestamp=START + timedelta(days=1),
    )
    full_workflow = documents.Workflow(
        owner_ref=owner.id,
        public=public,
        name="workflow of each" if public else "workflow",
        description="d",
        tags=["red"],
        steps=[
            WorkflowStep(key="a", component_version_ref=versions[0].id, parameters=JSON_TEXT, ports=["80:80"]),
            WorkflowStep(key="é", component_version_ref=versions[1].id, inputs="[1.0]", depends_on=["a"]),
        ],
        component_versions=[versions[0].id, versions[1].id],
    )
    workflows = [full_workflow, new.a_named_workflow(None, versions[0], public=public, steps=[])]
    full.workflow_ref, full.workflow_revision = full_workflow.id, 3
    executions = [full, *(new.an_execution(twin, start_timestamp=at) for at in (None, START, None))]
    steps = _steps(full, versions)
    logs = [
        new.a_log_entry(steps[0], n, level=level, message=f"line\t{n}") for n, level in enumerate([*LogLevel] * 5, 1)
    ]
    outputs = _outputs(steps, friend)
    results = [
        new.a_result(full, [*reversed(outputs), outputs[0]], description="d", tags=["t"]),
        new.a_result(executions[1], []),
    ]
    executions[1].workflow_ref = "workflow_none"
    return [twin, *workflows, *executions, *steps, *logs, *outputs, *results]


def _steps(execution: documents.Execution, versions: list[documents.ComponentVersion]) -> list[documents.Step]:
    ran = {
        "code": [CodeReference(repository="r", path="p", commit=HASH), CodeReference(repository="r", commit="c")],
        "status": ActivityStatus.FAILED,
        "attempt": 2,
        "worker": "w",
        "lease_expires_at": START,
        "started_at": START,
        "ended_at": START + timedelta(microseconds=1000),
        "error": ERROR,
        "type": "persistent",
        "parameters": JSON_TEXT,
        "ports": ["80:80"],
        "inputs": "[]",
    }
    fields: list[dict[str, Any]] = [ran, {"code": []}, {}, {"inputs": "null"}]
    steps = [
        new.a_step(execution, ordinal=n, component_version_ref=versions[n % 2].id, **more)
        for n, more in enumerate(fields)
    ]
    steps[1].depends_on = [steps[0].id]
    steps[2].depends_on = [steps[1].id, steps[0].id, "step_none"]
    return steps


def _outputs(steps: list[documents.Step], friend: documents.User) -> list[documents.Output]:
    return [
        new.an_output(
            steps[0],
            friend,
            public=True,
            output_type=OutputType.SNAPSHOT,
            file_size=2**62,
            file_type="text/csv",
            sha256=HASH,
            metadata="1.00",
        ),
        new.an_output(steps[0], friend),
        new.an_output(steps[0], file_size=0),
        new.an_output(steps[1], public=True),
    ]


def _link(*twins: list[Any]) -> None:
    """Let executions re-run those of other twins, and steps wait for and reuse what others made."""
    for one, other in zip(twins, [*twins[1:], twins[0]], strict=True):
        execution, target = (next(d for d in chain if isinstance(d, documents.Execution)) for chain in (one, other))
        steps, targets = ([d for d in chain if isinstance(d, documents.Step)] for chain in (one, other))
        execution.parent_ref = target.id
        steps[3].depends_on = [targets[0].id]
        steps[3].reused_from_ref = targets[1].id
        steps[2].reused_from_ref = "step_none"
        outputs = [d for d in other if isinstance(d, documents.Output)]
        steps[0].used = [Used(ref=output.id, step_key="é", sha256=output.sha256) for output in outputs]
        steps[1].used = [Used(ref="output_none", step_key="used"), Used(ref=outputs[0].id)]


def _link_families(world: World) -> None:
    """Let a step of each twin and some transforms use artifacts of every kind, in no order, and one that is not there.

    The first transform says nothing, the second that it used nothing.
    """
    kinds = ("archive", "distribution", "external", "generation", "output", "result")
    refs = [id for ids in zip(*(reversed(world.ids(kind)) for kind in kinds), strict=False) for id in ids]
    steps = [one for one in world.kept if isinstance(one, documents.Step)]
    transforms = [one for one in world.kept if isinstance(one, documents.Transform)]
    for number, step in enumerate(steps[2::4]):
        step.used = [Used(ref=ref) for ref in ["output_none", *refs[number:], refs[number]]]
        step.used_truncated = number == 1
    transforms[1].used, transforms[2].used = [], [Used(ref=ref, assumed=ref == refs[2]) for ref in refs]


def _a_catalogue() -> list[Any]:
    office = documents.Organisation(url="https://office.example", name="Office")
    other = documents.Organisation(url="https://other.example")
    code = CodeRepo(
        provider=CodeProvider.GITLAB,
        url="https://code.example",
        pipeline="births",
        source=[SourceFile(path="a.b/c.py", commit=HASH)],
        monitor_dirs=[MonitorDir(url="gs://in", last_seen_at=START, pending_files=3), MonitorDir(url="gs://out")],
    )
    births = documents.Resource(
        organisation_ref=office.id, title="Births", landing_page="l", code_repo=code, info=JSON_TEXT
    )
    bare = documents.Resource(organisation_ref=office.id, code_repo=CodeRepo())
    without_code = documents.Resource(organisation_ref=other.id)
    kept: list[Any] = [office, other, births, bare, without_code]
    transforms = [
        documents.Transform(
            resource_ref=births.id,
            status=ActivityStatus.SUCCEEDED,
            code=[CodeReference(repository="r", commit=HASH)],
            details=TransformDetails(validated=True, logs="https://logs.example", notebook="gs://bucket/notebook"),
            cause=TransformCause(kind=TransformCauseKind.FILES_CHANGED, files=["f"], message="m"),
            created_at=START,
            started_at=START,
            error=ERROR,
        ),
        documents.Transform(resource_ref=births.id, cause=TransformCause(kind=TransformCauseKind.REQUESTED)),
        documents.Transform(resource_ref=bare.id),
    ]
    kept += [*transforms, *(new.a_log_entry(transforms[0], n) for n in (1, 2))]
    for number, modified in enumerate([START, None, START + timedelta(days=1), None]):
        kept += _a_dataset(births, number, modified, transforms[0] if number else None)
    return [*kept, documents.Dataset(resource_ref=bare.id, identifier="empty")]


def _a_dataset(
    resource: documents.Resource, number: int, modified: datetime | None, transform: documents.Transform | None
) -> list[Any]:
    full = {"title": "T", "description": "d", "publisher": "p", "issued": START, "keywords": ["k", "é"]}
    fields = full if modified else {}
    dataset = documents.Dataset(resource_ref=resource.id, identifier=f"d{number}", modified=modified, **fields)
    column = CsvwColumn(name="n", title="t", datatype="string", property_url="u", required=True, virtual=True)
    kept: list[Any] = [dataset]
    for ordinal in range(1, 4):
        version_id, distribution_id = (documents.base.new_id(kind) for kind in ("version", "distribution"))
        version = documents.DatasetVersion(
            id=version_id,
            dataset_ref=dataset.id,
            label=f"v{ordinal}",
            ordinal=ordinal,
            distribution_ref=distribution_id,
        )
        distribution = documents.Distribution(
            id=distribution_id,
            dataset_ref=dataset.id,
            version_ref=version_id,
            dataset_name="T\n é" if modified else None,
            version_label=version.label if ordinal > 1 else None,
            csvw=JSON_TEXT,
            sha256=HASH,
            size_bytes=len(JSON_TEXT),
            columns=[column, CsvwColumn()] if modified else [],
            transform_ref=transform.id if transform else None,
        )
        dataset.latest_version_ref = version_id
        kept += [version, distribution]
    return kept
