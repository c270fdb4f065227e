"""Real documents for tests, ready to be kept: `twin = a_twin(owner, public=True)`, then `await keep(owner, twin)`.

What follows a twin takes its owner and whether it is public from what it is built on. Any field can be given by its
Python name.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from unittest.mock import patch

from pymongo.asynchronous.collection import AsyncCollection

import documents
from documents.activities.activity import Activity, ActivityStatus, CodeReference
from documents.base import now
from documents.galaxy.generation import GenerationStatus
from documents.mongo.database import Database
from documents.provenance.external_data import ExternalDataReport, external_data_id
from documents.twins.execution import WorkflowSchema
from documents.twins.output import AccessControl
from documents.twins.workflow import WorkflowStep
from resolvers.galaxy.report import PARSER_VERSION

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "https://code.example/component"

# Builders under `from_the_beginning` count from 1, whichever test runs first; all others from here.
_numbers = count(10_001)


@contextmanager
def from_the_beginning() -> Iterator[None]:
    """Give documents in the block the same ids and names each time, so that a query that quotes them is parsed once."""
    ids = count(1)
    with (
        patch("documents.base.new_id", lambda kind: f"{kind}_{next(ids):024x}"),
        patch(f"{__name__}._numbers", count(1)),
    ):
        yield


def a_user(**fields: Any) -> documents.User:
    """A user with a name that no other has."""
    name = f"user-{next(_numbers)}"
    return documents.User(**{"display_name": name, "email": f"{name}@people.example", **fields})


def a_token(user: documents.User | None, **fields: Any) -> documents.Token:
    """A token of the user, or a worker's."""
    number = next(_numbers)
    role = "USER" if user else "WORKER"
    own = {"user_ref": user.id if user else None, "role": role, "name": f"token-{number}", "hash": f"{number:064}"}
    return documents.Token(**{**own, **fields})


def a_twin(owner: documents.User, **fields: Any) -> documents.DigitalTwin:
    """A private twin, unless told otherwise."""
    return documents.DigitalTwin(**{"owner_ref": owner.id, "name": f"twin-{next(_numbers)}", **fields})


def an_execution(twin: documents.DigitalTwin, **fields: Any) -> documents.Execution:
    """An execution of no component version, unless told otherwise in `workflow_schema`."""
    return documents.Execution(
        **{
            "digital_twin_ref": twin.id,
            "owner_ref": twin.owner_ref,
            "public": twin.public,
            "reader_refs": twin.reader_refs,
            "title": f"execution-{next(_numbers)}",
            "workflow_schema": a_workflow(),
            **fields,
        }
    )


def a_workflow(*versions: documents.ComponentVersion) -> WorkflowSchema:
    """The workflow that runs these versions one after the other."""
    ids = [version.id for version in versions]
    return WorkflowSchema(workflow_executor="provenance-graph", workflow_executor_version="1", component_versions=ids)


def a_named_workflow(
    owner: documents.User | None, *versions: documents.ComponentVersion, **fields: Any
) -> documents.Workflow:
    """A private workflow that runs these versions one after the other, unless told otherwise."""
    steps = [
        WorkflowStep(key=str(n), component_version_ref=version.id, depends_on=[str(n - 1)] if n else [])
        for n, version in enumerate(versions)
    ]
    return documents.Workflow(
        **{
            "owner_ref": owner.id if owner else None,
            "name": f"workflow-{next(_numbers)}",
            "steps": steps,
            "component_versions": [step.component_version_ref for step in steps],
            **fields,
        }
    )


def a_step(execution: documents.Execution, **fields: Any) -> documents.Step:
    """The first step of an execution, unless `ordinal` and `key` say otherwise."""
    ordinal = fields.get("ordinal", 0)
    return documents.Step(
        **{
            "execution_ref": execution.id,
            "component_version_ref": "release_0123456789abcdef01234567",
            "owner_ref": execution.owner_ref,
            "public": execution.public,
            "reader_refs": execution.reader_refs,
            "key": str(ordinal),
            "ordinal": ordinal,
            "code": [CodeReference(repository=REPOSITORY, commit=COMMIT)],
            **fields,
        }
    )


def an_output(
    step: documents.Step, *authorized: documents.User, public: bool = False, **fields: Any
) -> documents.Output:
    """An output of a step, which its owner and the users given may read."""
    number = next(_numbers)
    return documents.Output(
        **{
            "step_ref": step.id,
            "owner_ref": step.owner_ref,
            "reader_refs": step.reader_refs,
            "file_name": f"output-{number}.csv",
            "bucket": "a-bucket",
            "key": f"outputs/{number}",
            "access_control": AccessControl(public=public, authorized_users=[user.id for user in authorized]),
            **fields,
        }
    )


def a_log_entry(activity: Activity, sequence: int = 1, **fields: Any) -> documents.LogEntry:
    """A line that an activity wrote."""
    return documents.LogEntry(
        **{"activity_ref": activity.id, "sequence": sequence, "message": f"line {sequence}", **fields}
    )


def a_result(execution: documents.Execution, outputs: list[documents.Output], **fields: Any) -> documents.Result:
    """A result that gathers outputs of an execution."""
    return documents.Result(
        **{
            "digital_twin_ref": execution.digital_twin_ref,
            "execution_ref": execution.id,
            "owner_ref": execution.owner_ref,
            "public": execution.public,
            "reader_refs": execution.reader_refs,
            "title": f"result-{next(_numbers)}",
            "output_refs": [output.id for output in outputs],
            **fields,
        }
    )


def a_component(**fields: Any) -> documents.Component:
    """A component at a repository that no other has."""
    name = f"component-{next(_numbers)}"
    return documents.Component(**{"component_name": name, "repo_link": f"https://code.example/{name}", **fields})


def a_component_version(component: documents.Component, **fields: Any) -> documents.ComponentVersion:
    """A version of a component. It does not become the component's latest by itself."""
    version = f"v{next(_numbers)}"
    return documents.ComponentVersion(
        **{"component_ref": component.id, "version": version, "commit_hash": COMMIT, **fields}
    )


def external_data(*owners: documents.User, **fields: Any) -> documents.ExternalData:
    """A state of data at a URL that no other has, which private activities of these owners named."""
    url, version, sha256 = (fields.get(name) for name in ("url", "version", "sha256"))
    url = url or f"https://files.example/{next(_numbers)}.csv"
    return documents.ExternalData(
        **{
            "id": external_data_id(url, version, sha256),
            "url": url,
            "owner_refs": [owner.id for owner in owners],
            "reports": [ExternalDataReport(owner_ref=owner.id, at=now()) for owner in owners],
            **fields,
        }
    )


def an_instance(*owners: documents.User, **fields: Any) -> documents.Instance:
    """A private instance with a key that nobody knows, unless told otherwise."""
    number = next(_numbers)
    return documents.Instance(
        **{
            "uuid": f"00000000-0000-4000-8000-{number:012}",
            "url": f"https://galaxy-{number}.example",
            "title": f"instance-{number}",
            "owner_refs": [owner.id for owner in owners],
            "key_hash": "0" * 64,
            **fields,
        }
    )


def an_archive(instance: documents.Instance, **fields: Any) -> documents.Archive:
    """A report of an instance, whose bytes are nowhere."""
    number = next(_numbers)
    return documents.Archive(
        **{
            "instance_ref": instance.id,
            "owner_refs": instance.owner_refs,
            "public": instance.public,
            "identifier": f"{1_500_000_000 + number}.5",
            "schema_version": 3,
            "sha256": "0" * 64,
            "size_bytes": 1,
            "bucket": "a-bucket",
            "key": f"archives/{number}",
            "metadata": '{"version": 3}',
            **fields,
        }
    )


def a_generation(instance: documents.Instance, **fields: Any) -> documents.Generation:
    """The active generation of an instance, unless `status` says otherwise."""
    generation = documents.Generation(
        **{
            "instance_ref": instance.id,
            "owner_refs": instance.owner_refs,
            "public": instance.public,
            "parser_version": PARSER_VERSION,
            "status": GenerationStatus.ACTIVE,
            **fields,
        }
    )
    if generation.status is GenerationStatus.ACTIVE:
        instance.active_generation_ref = generation.id
    return generation


def an_ingestion(
    instance: documents.Instance, generation: documents.Generation | None = None, **fields: Any
) -> documents.Ingestion:
    """An ingestion that waits for a worker, into a generation or into none."""
    return documents.Ingestion(
        **{
            "instance_ref": instance.id,
            "owner_refs": instance.owner_refs,
            "public": instance.public,
            "generation_ref": generation.id if generation else None,
            "status": ActivityStatus.READY,
            **fields,
        }
    )


def a_part(ingestion: documents.Ingestion, archive: documents.Archive, **fields: Any) -> documents.IngestionPart:
    """An archive within an ingestion, which it tells of."""
    archive.ingestion_refs.append(ingestion.id)
    return documents.IngestionPart(
        **{
            "ingestion_ref": ingestion.id,
            "instance_ref": ingestion.instance_ref,
            "generation_ref": ingestion.generation_ref,
            "archive_ref": archive.id,
            **fields,
        }
    )


def a_rejection(part: documents.IngestionPart, number: int = 0, **fields: Any) -> documents.Rejection:
    """A row that could not be taken."""
    return documents.Rejection(
        **{
            "id": documents.Rejection.id_of(part.id, number),
            "ingestion_ref": part.ingestion_ref,
            "archive_ref": part.archive_ref,
            "member": "report.jobs.tsv",
            "line": number + 2,
            "code": "MALFORMED_ROW",
            "message": "The row has 4 columns instead of 5.",
            **fields,
        }
    )


def a_job(generation: documents.Generation, archive: documents.Archive, **fields: Any) -> documents.Job:
    """A job of a generation, as a report tells of it."""
    number = fields.get("external_id", next(_numbers))
    return documents.Job(
        **{
            "id": f"{documents.Job.id_prefix(generation.id)}{number}",
            "instance_ref": generation.instance_ref,
            "generation_ref": generation.id,
            "archive_ref": archive.id,
            "external_id": number,
            "tool_id": "upload1",
            "state": "ok",
            **fields,
        }
    )


@dataclass
class Tree:
    """The documents that `a_tree` inserted, by level."""

    users: list[documents.User] = field(default_factory=list)
    twins: list[documents.DigitalTwin] = field(default_factory=list)
    executions: list[documents.Execution] = field(default_factory=list)
    steps: list[documents.Step] = field(default_factory=list)
    outputs: list[documents.Output] = field(default_factory=list)


async def a_tree(
    users: int, twins: int = 1, executions: int = 1, steps: int = 1, outputs: int = 1, public: bool = True
) -> Tree:
    """So many users, each with so many twins, each with so many executions …: everything is kept, outputs as well."""
    tree = Tree()
    tree.users = [a_user() for _ in range(users)]
    tree.twins = [a_twin(user, public=public) for user in tree.users for _ in range(twins)]
    tree.executions = [an_execution(twin) for twin in tree.twins for _ in range(executions)]
    tree.steps = [a_step(one, ordinal=ordinal) for one in tree.executions for ordinal in range(steps)]
    tree.outputs = [an_output(step, public=public) for step in tree.steps for _ in range(outputs)]
    await keep(*tree.users, *tree.twins, *tree.executions, *tree.steps, *tree.outputs)
    return tree


async def keep(*kept: documents.Document) -> None:
    """Insert documents, one round trip for each kind."""
    by_kind: defaultdict[type[documents.Document], list[documents.Document]] = defaultdict(list)
    for document in kept:
        by_kind[type(document)].append(document)
    for kind, documents_of_kind in by_kind.items():
        await kind.get_pymongo_collection().insert_many([_row(document) for document in documents_of_kind])


def _row(document: documents.Document) -> dict[str, Any]:
    """The row of a document; Beanie's own encoder makes an equal one in twenty times the time."""
    row: dict[str, Any] = document.model_dump(by_alias=True, exclude={"revision_id"})
    return row


async def everything_kept(database: Database | None = None) -> dict[str, list[dict[str, Any]]]:
    """Every row of a database, or of that of the documents, by collection: equal before and after a refused write."""
    database = documents.ALL[0].get_pymongo_collection().database if database is None else database
    return await rows_kept(database, [document.collection_name() for document in documents.ALL])


async def rows_kept(database: Database, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Every row of some collections of a database, at least one, in the order of ids."""
    first, *others = names
    # Hundreds of tests ask this twice, and thirty finds take ten times as long.
    together = [{"$unionWith": {"coll": name, "pipeline": _named(name)}} for name in others]
    kept: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    async for found in await database[first].aggregate([*_named(first), *together], batchSize=100_000):
        kept[found["in"]].append(found["row"])
    return kept


async def restore_rows(
    collection: AsyncCollection[dict[str, Any]], wanted: list[dict[str, Any]], found: list[dict[str, Any]]
) -> None:
    """Make the rows of a collection as they are wanted, from those found in it.

    Only differing rows are written, which are few after a single call: to write all takes ten times as long.
    """
    kept, now = ({row["_id"]: row for row in rows} for rows in (wanted, found))
    if wrong := [id for id, row in now.items() if kept.get(id) != row]:
        await collection.delete_many({"_id": {"$in": wrong}})
    if lacking := [row for id, row in kept.items() if now.get(id) != row]:
        await collection.insert_many(lacking)


async def restore_everything(rows: dict[str, list[dict[str, Any]]]) -> None:
    """Make every row of the documents' database as `everything_kept` once gave them."""
    database = documents.ALL[0].get_pymongo_collection().database
    for name, found in (await everything_kept()).items():
        if found != rows[name]:
            await restore_rows(database[name], rows[name], found)


def _named(collection: str) -> list[dict[str, Any]]:
    """Each row together with where it is kept."""
    return [{"$sort": {"_id": 1}}, {"$replaceWith": {"in": {"$literal": collection}, "row": "$$ROOT"}}]
