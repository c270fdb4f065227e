"""Inputs that an administrator is granted, for every mutation there is, in a world where things run.

A mutation without a row here fails the tests that go through all of them: add what can be granted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from graphql import get_named_type, is_leaf_type

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.catalogue.resource import CodeRepo, MonitorDir
from documents.galaxy.generation import GenerationStatus
from documents.galaxy.ingestion import IngestionKind
from documents.storage.upload import UploadPurpose, UploadStatus
from tests.journeys.access_inputs import mutations, plausible
from tests.journeys.access_queries import TYPES, selection
from tests.journeys.access_world import World, a_world
from tests.support import builders as new

RUNNER = "ADMIN"
"""The key of an administrator who came without a token."""
WORKER = "a worker"
HOLDING = {"worker": WORKER, "attempt": 1}
LEASE = timedelta(days=1)
"""Longer than any module of tests takes, whose tests may share what runs."""
FILES = "https://files.example/new"
READ = [{"url": f"{FILES}/read.csv", "version": "1", "sizeBytes": "1"}]
UNTIL = {"expiresAt": "2100-01-01T00:00:00Z"}
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00Z"

Names = dict[str, str]
"""Ids of what runs, by name."""
Row = Callable[[Names], dict[str, Any]]


def _as_it_is(_: Names) -> dict[str, Any]:
    return {}


GRANTED: dict[str, dict[str, Row]] = {
    "createOrganisation": {"": _as_it_is},
    "updateOrganisation": {"": _as_it_is},
    "mergeOrganisations": {"": lambda ids: {"duplicateIds": [ids["watching organisation"]]}},
    "createResource": {"": _as_it_is},
    "updateResource": {"": _as_it_is},
    "createDataset": {"": lambda _: {"identifier": "another"}},
    "ingestTransform": {
        "anew": lambda _: {"used": READ},
        "of a claimed transform": lambda ids: {
            "transformId": ids["transform"],
            "organisationUrl": "https://watching.example",
            "landingPage": "https://watching.example/page",
            "resourceTitle": "watching",
            "codeRepo": {"url": "https://code.example/watching", "provider": "GITHUB"},
        },
    },
    "requestTransform": {"": _as_it_is},
    "reportFiles": {"": lambda _: {"files": [{"url": f"{FILES}/a.csv", "generation": "1", "updatedAt": LATER}]}},
    "ingestComponent": {"": _as_it_is},
    "deprecateComponentVersion": {"": _as_it_is},
    "cancelTransform": {"that runs": lambda ids: {"id": ids["transform"]}},
    "createToken": {
        "of a user": lambda ids: {"userId": ids["owner"], "organisationId": None, "resourceId": None, **UNTIL},
        "bound to a resource": lambda _: {"role": "WORKER", "userId": None, "organisationId": None, **UNTIL},
    },
    "revokeToken": {"": _as_it_is},
    "createUser": {"": _as_it_is},
    "updateUser": {"": lambda ids: {"id": ids["owner"]}},
    "createDigitalTwin": {"": lambda ids: {"ownerId": ids["owner"]}},
    "updateDigitalTwin": {"": lambda _: {"public": True}},
    "updateDigitalTwinAccess": {
        "": lambda ids: {"id": ids["twin"], "authorizeUserIds": [ids["stranger"]], "revokeUserIds": None}
    },
    "transferDigitalTwin": {"": lambda ids: {"id": ids["ended twin"], "ownerId": ids["stranger"]}},
    "createExecution": {
        "": lambda ids: {
            "steps": [
                {"key": "a", "componentVersionId": ids["version"], "parameters": {"a": 1}, "used": READ},
                {"key": "b", "componentVersionId": ids["version"], "parameters": {"a": 2}, "dependsOn": ["a"]},
            ],
            "overrides": None,
        },
        "of a workflow": lambda ids: {
            "steps": [],
            "workflowId": ids["workflow"],
            "overrides": [{"stepKey": "0", "parameters": {"a": 1}}],
        },
    },
    "createWorkflow": {"": lambda ids: {"ownerId": ids["owner"]}},
    "updateWorkflow": {"": lambda ids: {"id": ids["workflow"]}},
    "rerunExecution": {
        "all": lambda ids: {
            "executionId": ids["done"],
            "parameterOverrides": [],
            "componentVersionOverrides": [],
            "strategy": "ALL_STEPS",
        },
        "from a step": lambda ids: {
            "executionId": ids["done"],
            "parameterOverrides": [],
            "componentVersionOverrides": [],
            "strategy": "FROM_STEP",
            "fromStepId": ids["done 1"],
        },
    },
    "cancelExecution": {"": lambda ids: {"id": ids["running"]}},
    "claimActivity": {
        "the first step": lambda _: {"kinds": ["STEP"], "leaseSeconds": 600},
        "a transform": lambda _: {"kinds": ["TRANSFORM"], "leaseSeconds": 600},
    },
    "extendLease": {"": lambda ids: {"id": ids["running 0"], **_worker(), "leaseSeconds": 600}},
    "releaseActivity": {"": lambda ids: {"id": ids["running 0"], **HOLDING}},
    "completeActivity": {
        "a step in between": lambda ids: {"id": ids["running 0"], **HOLDING, **_success()},
        "the last step": lambda ids: {"id": ids["ending 0"], **HOLDING, **_success()},
        "for good": lambda ids: {"id": ids["running 0"], **HOLDING, **_failure(retryable=False)},
        "to be tried again": lambda ids: {"id": ids["running 0"], **HOLDING, **_failure(retryable=True)},
        "a transform": lambda ids: {"id": ids["transform"], **HOLDING, "outcome": "SUCCEEDED", "error": None},
    },
    "appendLogs": {
        "": lambda ids: {
            "activityId": ids["running 0"],
            "attempt": 1,
            "firstSequence": 1,
            "entries": [{"timestamp": "2024-01-01T00:00:00Z", "message": f"line {n}"} for n in range(3)],
        }
    },
    "createResult": {"": lambda ids: {"executionId": ids["done"], "outputIds": [ids["output"]]}},
    "updateResult": {"": lambda ids: {"id": ids["result"], "addOutputIds": [ids["output"]]}},
    "createUpload": {"": lambda _: {"sizeBytes": 4}},
    "registerOutput": {
        "that lies elsewhere": lambda ids: {"stepId": ids["running 0"]},
        "that was uploaded": lambda ids: {
            "stepId": ids["running 0"],
            "uploadId": ids["upload"],
            "bucket": None,
            "key": None,
            "fileSize": None,
        },
    },
    "createInstance": {"": lambda ids: {"ownerIds": [ids["owner"]], "uuid": "22222222-2222-4222-8222-222222222222"}},
    "updateInstance": {"that its archives follow": lambda ids: {"ownerIds": [ids["owner"]], "public": True}},
    "rotateInstanceKey": {"": _as_it_is},
    "registerArchive": {"": lambda ids: {"uploadId": ids["archive upload"], "identifier": "2.0"}},
    "ingestArchives": {
        "all that lack": lambda _: {"archiveIds": None},
        "one of them, to see what is in it": lambda ids: {"archiveIds": [ids["archive"]], "dryRun": True},
    },
    "reprocessArchives": {"": _as_it_is},
    "activateGeneration": {"": lambda ids: {"generationId": ids["ready"]}},
    "discardGeneration": {"": lambda ids: {"generationId": ids["ready"]}},
    "cancelIngestion": {
        "into a generation that stays": _as_it_is,
        "into one of its own": lambda ids: {"id": ids["reprocess"]},
    },
    "updateOutputAccess": {"": lambda ids: {"id": ids["output"]}},
}
"""For each mutation what else is given than is plausible, by what is tried with it."""


def _worker() -> dict[str, Any]:
    return {"worker": WORKER}


def _success() -> dict[str, Any]:
    details = dict.fromkeys(("error", "validated", "logs", "notebook"))
    return {"outcome": "SUCCEEDED", "used": READ, **details}


def _failure(*, retryable: bool) -> dict[str, Any]:
    error = {"code": "BROKEN", "message": "it broke", "retryable": retryable}
    return {**_success(), "outcome": "FAILED", "error": error}


@dataclass
class Working:
    """A world where things run, with the ids of what does."""

    world: World = field(default_factory=a_world)
    ids: Names = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = self.world.viewers["owner"].user_id
        version = next(one for one in self.world.kept if isinstance(one, documents.ComponentVersion))
        stranger = self.world.viewers["stranger"].user_id
        assert owner is not None
        assert stranger is not None
        twin = documents.DigitalTwin(owner_ref=owner, name="at work")
        ended = documents.DigitalTwin(owner_ref=owner, name="done")
        workflow = new.a_named_workflow(None, version, owner_ref=owner)
        self.ids |= {"owner": owner, "stranger": stranger, "version": version.id, "workflow": workflow.id}
        self.ids |= {"twin": twin.id, "ended twin": ended.id}
        kept = [twin, ended, new.an_execution(ended, status=ActivityStatus.CANCELLED), workflow]
        kept += [*self._executions(twin, version), *self._a_resource(), *self._a_reprocess()]
        kept += [
            self._an_upload("upload", UploadPurpose.OUTPUT),
            self._an_upload("archive upload", UploadPurpose.ARCHIVE),
        ]
        self.world = World([*self.world.kept, *kept], self.world.viewers)

    def input(self, mutation: str, row: Row) -> dict[str, Any]:
        """A mutation's input that is granted."""
        given = plausible(dict(mutations())[mutation], self.world) | row(self.ids)
        return {name: value for name, value in given.items() if value is not None}

    def _executions(self, twin: documents.DigitalTwin, version: documents.ComponentVersion) -> list[Any]:
        ready, running, ended = ActivityStatus.READY, ActivityStatus.RUNNING, ActivityStatus.SUCCEEDED
        pending = ActivityStatus.PENDING
        kept: list[Any] = []
        for name, *statuses in (
            ("waiting", ready, ready, pending),
            ("running", running, pending, running),
            ("ending", running),
            ("done", ended, ended),
        ):
            workflow = new.a_workflow(*[version] * len(statuses))
            execution = new.an_execution(twin, title=name, status=statuses[0], workflow_schema=workflow)
            self.ids[name] = execution.id
            kept.append(execution)
            before: list[str] = []
            for ordinal, status in enumerate(statuses):
                fields = {"ordinal": ordinal, "component_version_ref": version.id, "depends_on": before[:1]}
                step = new.a_step(execution, status=status, **fields)
                before.append(step.id)
                self.ids[f"{name} {ordinal}"] = step.id
                kept += [step, *self._begun(execution, step)]
        return kept

    def _begun(self, execution: documents.Execution, step: documents.Step) -> list[Any]:
        """Fill in what a step has that was claimed, and its output."""
        if step.status in (ActivityStatus.READY, ActivityStatus.PENDING):
            return []
        step.attempt, step.worker, step.claimed_by, step.claimants = 1, WORKER, RUNNER, [RUNNER]
        step.started_at = execution.start_timestamp = now()
        output = new.an_output(step, attempt=1)
        if step.status is ActivityStatus.RUNNING:
            step.lease_expires_at = now() + LEASE
            execution.runners = step.runners = output.runners = [RUNNER]
            return [output]
        step.ended_at = execution.end_timestamp = now()
        self.ids["output"] = output.id
        result = new.a_result(execution, [])
        self.ids["result"] = result.id
        return [output, result]

    def _a_resource(self) -> list[Any]:
        """Two resources: of one a transform runs, of the other one waits; both watch a directory."""
        organisation = documents.Organisation(url="https://watching.example")
        self.ids["watching organisation"] = organisation.id
        kept: list[Any] = [organisation]
        for title in ("watching", "waiting"):
            code = CodeRepo(
                url=f"https://code.example/{title}", monitor_dirs=[MonitorDir(url=FILES, watched_since=LONG_AGO)]
            )
            page = "https://watching.example/page"
            resource = documents.Resource(
                organisation_ref=organisation.id, title=title, landing_page=page, code_repo=code
            ).with_natural_key()
            kept += [resource, self._a_transform(resource)]
        return kept

    def _a_transform(self, resource: documents.Resource) -> documents.Transform:
        if resource.title == "waiting":
            return documents.Transform(resource_ref=resource.id, status=ActivityStatus.READY)
        transform = documents.Transform(
            resource_ref=resource.id,
            status=ActivityStatus.RUNNING,
            attempt=1,
            worker=WORKER,
            claimed_by=RUNNER,
            claimants=[RUNNER],
            started_at=now(),
            lease_expires_at=now() + LEASE,
        )
        self.ids["transform"] = transform.id
        return transform

    def _a_reprocess(self) -> list[Any]:
        """A report that was not ingested, and one that is read anew into a generation of its own."""
        instance = next(one for one in self.world.kept if isinstance(one, documents.Instance))
        ready = next(one for one in self.world.kept if getattr(one, "status", None) is GenerationStatus.READY)
        archive = new.an_archive(instance)
        building = new.a_generation(instance, status=GenerationStatus.BUILDING)
        reprocess = new.an_ingestion(instance, building, purpose=IngestionKind.REPROCESS)
        part = new.a_part(reprocess, new.an_archive(instance, identifier="1.5", current=False), attempt=1)
        self.ids |= {"archive": archive.id, "ready": ready.id, "reprocess": reprocess.id}
        return [archive, building, reprocess, part]

    def _an_upload(self, name: str, purpose: UploadPurpose) -> documents.Upload:
        """Bytes that were read and found right."""
        upload = documents.Upload(
            viewer_key=RUNNER,
            purpose=purpose,
            file_name="a.csv",
            media_type="text/csv",
            size=4,
            sha256="0" * 64,
            bucket="folder",
            key=f"{purpose.value}/a",
            status=UploadStatus.CHECKED,
            generation=1,
            expires_at=now() + LEASE,
        )
        self.ids[name] = upload.id
        return upload


@cache
def asking(mutation: str) -> str:
    """The request for a mutation, with what its payload leads to at once."""
    call: Any = dict(mutations())[mutation]
    parts = ["userErrors { __typename code message path }"]
    for name, one in TYPES[get_named_type(call.type).name].fields.items():
        if name != "userErrors":
            shown = get_named_type(one.type)
            parts.append(name if is_leaf_type(shown) else f"{name} {{ {selection(shown, 0)} }}")
    return f"mutation ($input: {call.args['input'].type}) {{ {mutation}(input: $input) {{ {' '.join(parts)} }} }}"
