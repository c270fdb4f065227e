"""A world of public and private things, and who should see which of them, said once more and in other words."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import documents
from documents.activities.activity import ActivityStatus, CodeReference
from documents.base import now
from documents.catalogue.resource import CodeRepo
from documents.catalogue.transform import TransformDetails
from documents.galaxy.generation import GenerationStatus
from documents.galaxy.ingestion_part import IngestionCounts
from documents.galaxy.job import JobParameter
from documents.provenance.used import Used
from documents.twins.component_version import ParameterDefinition
from documents.twins.step import ReuseGrant
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support import builders as new
from tests.support.builders import everything_kept, keep, restore_rows
from tests.support.usage_documents import usage_of

ADMIN = Viewer(Role.ADMIN)


@dataclass
class World:
    """Everything that is kept, and the people in it."""

    kept: list[documents.Document]
    viewers: dict[str, Viewer]

    def __post_init__(self) -> None:
        self.by_id: dict[str, Any] = {one.id: one for one in self.kept}
        self._steps = [one for one in self.kept if isinstance(one, documents.Step)]
        self._rows: dict[str, list[dict[str, Any]]] = {}

    @cached_property
    def texts(self) -> list[str]:
        """Texts that stand in the documents, and one that does not."""
        fields = ("display_name", "name", "title", "file_name", "repo_link", "url", "status", "identifier", "uuid")
        found = {str(getattr(one, name)) for one in self.kept for name in fields if hasattr(one, name)}
        return sorted({*found, "nothing"})

    def sees(self, viewer: Viewer, one: Any) -> bool:
        """The reference policy, which climbs the chain instead of trusting what was copied."""
        if viewer.role is Role.ADMIN:
            return True
        match one:
            case documents.DigitalTwin():
                return one.public or self.owns(viewer, one) or viewer.user_id in one.reader_refs
            case documents.Instance() | documents.Workflow() | documents.ExternalData():
                return one.public or self.owns(viewer, one)
            case documents.Execution():
                return self.sees(viewer, self.by_id[one.digital_twin_ref]) or self.runs(viewer, one)
            case documents.Result():
                return self.sees(viewer, self.by_id[one.digital_twin_ref])
            case documents.Step():
                return self.sees(viewer, self.by_id[one.execution_ref]) or self.borrows(viewer, one)
            case documents.LogEntry():
                return self.sees(viewer, self.by_id[one.activity_ref])
            case documents.Output():
                rights = one.access_control
                named = rights.public or viewer.user_id in rights.authorized_users
                step = self.by_id[one.step_ref]
                execution = self.by_id[step.execution_ref]
                shared = viewer.user_id in self.by_id[execution.digital_twin_ref].reader_refs
                runs = self.runs(viewer, execution) or self.borrows(viewer, step)
                return named or shared or self.owns(viewer, one) or runs
        return self.sees_beside_twins(viewer, one)

    def sees_beside_twins(self, viewer: Viewer, one: Any) -> bool:
        """Whether the viewer sees a token, or a document that belongs to an instance; everybody sees other
        documents."""
        match one:
            case documents.Token():
                return viewer.role is Role.USER and one.user_ref == viewer.user_id
            case documents.IdempotencyKey():
                return False
            case documents.Archive() | documents.Generation() | documents.Ingestion():
                return self.sees(viewer, self.by_id[one.instance_ref])
            case documents.IngestionPart() | documents.Rejection():
                return self.sees(viewer, self.by_id[one.ingestion_ref])
            case documents.Job() | documents.Usage() | documents.DailyUsage():
                generation = self.by_id[one.generation_ref]
                return generation.status is not GenerationStatus.DISCARDED and self.sees(viewer, generation)
        return True

    def owns(self, viewer: Viewer, one: Any) -> bool:
        """Whether an instance, a twin, or the twin that an output came from, is the viewer's."""
        match one:
            case documents.User():
                return one.id == viewer.user_id
            case documents.Token():
                return viewer.user_id is not None and one.user_ref == viewer.user_id
            case documents.DigitalTwin() | documents.Workflow():
                return viewer.user_id is not None and one.owner_ref == viewer.user_id
            case documents.Instance() | documents.ExternalData():
                return viewer.user_id is not None and viewer.user_id in one.owner_refs
            case documents.Output():
                return self.owns(viewer, self.by_id[one.step_ref])
            case documents.Step():
                return self.owns(viewer, self.by_id[one.execution_ref])
            case documents.Ingestion() | documents.Generation():
                return self.owns(viewer, self.by_id[one.instance_ref])
        return self.owns(viewer, self.by_id[one.digital_twin_ref])

    def runs(self, viewer: Viewer, execution: documents.Execution) -> bool:
        """Whether a worker is at work on an execution."""
        return viewer.role is Role.WORKER and viewer.key in execution.runners

    def borrows(self, viewer: Viewer, step: documents.Step) -> bool:
        """Whether a worker is at work on something of the same owner that reuses a step."""
        if viewer.role is not Role.WORKER:
            return False
        reusing = [one for one in self._steps if one.owner_ref == step.owner_ref and one.reused_from_ref == step.id]
        return any(self.runs(viewer, self.by_id[one.execution_ref]) for one in reusing)

    def hidden(self, viewer: Viewer) -> list[documents.Document]:
        """The documents that do not exist for a viewer."""
        return [one for one in self.kept if not self.sees(viewer, one)]

    def ids(self, *kinds: type[documents.Document]) -> list[str]:
        """The ids of everything of these kinds, or of everything."""
        return [one.id for one in self.kept if not kinds or isinstance(one, kinds)]

    async def begin(self) -> None:
        """Keep this world and nothing else."""
        await self._begin_without(frozenset())

    async def begin_as_seen_by(self, viewer: Viewer) -> None:
        """Keep what the viewer may see of this world and nothing else."""
        await self._begin_without({one.id for one in self.hidden(viewer)})

    async def _begin_without(self, ids: Set[str]) -> None:
        if not self._rows:
            await asyncio.gather(*(document.get_pymongo_collection().delete_many({}) for document in documents.ALL))
            await keep(*self.kept)
            self._rows = await everything_kept()
        stored = await everything_kept()
        for name, rows in self._rows.items():
            kept = [row for row in rows if row["_id"] not in ids]
            if stored[name] != kept:
                await restore_rows(documents.ALL[0].get_pymongo_collection().database[name], kept, stored[name])

    async def forget(self, viewer: Viewer) -> None:
        """Make it a world in which what the viewer may not see never was."""
        hidden: defaultdict[type[documents.Document], list[str]] = defaultdict(list)
        for one in self.hidden(viewer):
            hidden[type(one)].append(one.id)
        deleting = (
            document.get_pymongo_collection().delete_many({"_id": {"$in": ids}}) for document, ids in hidden.items()
        )
        await asyncio.gather(*deleting)


@new.from_the_beginning()
def a_world() -> World:
    """An owner's private twin, a public one and a stranger's, which is shared, with links across that lead out."""
    owner, stranger, friend = (new.a_user(github=name) for name in ("owner", "stranger", "friend"))
    component = new.a_component()
    version = new.a_component_version(component, parameters=[ParameterDefinition(name="a", datatype="integer")])
    component.latest_version_ref = version.id
    private = _a_chain(owner, version, friend, public=False)
    public = _a_chain(owner, version, friend, public=True)
    strangers = _a_chain(stranger, version, friend, public=False, readers=[friend.id])
    _link(private, public)
    _link(public, private)
    _link(strangers, private)
    _run(strangers, Viewer(Role.WORKER))
    workflows = _workflows(owner, stranger, version)
    _make_from(workflows, private, public, strangers)
    outputs = [one for one in (*private, *public, *strangers) if isinstance(one, documents.Output)]
    gathering = _a_gathering(friend, outputs)
    servers = [
        *_a_server(owner, friend, public=False),
        *_a_server(owner, public=True),
        *_a_server(stranger, public=False),
    ]
    read = _external_data(owner, stranger)
    catalogue = _a_catalogue()
    tokens = _tokens(owner, stranger, friend, catalogue)
    people = [owner, stranger, friend, component, version, *workflows, *catalogue, *tokens, *read]
    return World([*people, *private, *public, *strangers, *gathering, *servers], _viewers(owner, stranger, friend))


def _viewers(owner: documents.User, stranger: documents.User, friend: documents.User) -> dict[str, Viewer]:
    return {
        "anonymous": ANONYMOUS,
        "stranger": Viewer(Role.USER, stranger.id),
        "owner": Viewer(Role.USER, owner.id),
        "authorised": Viewer(Role.USER, friend.id),
        "worker": Viewer(Role.WORKER),
        "worker_of_the_owner": Viewer(Role.WORKER, owner.id),
        "admin": ADMIN,
    }


def _a_chain(
    owner: documents.User,
    version: documents.ComponentVersion,
    friend: documents.User,
    *,
    public: bool,
    readers: Sequence[str] = (),
) -> list[Any]:
    """A twin with two executions, two steps each, their log lines and outputs, and a result of each execution."""
    status = "waiting" if public else "secret"
    twin = new.a_twin(owner, public=public, reader_refs=list(readers), status=status)
    chain: list[Any] = [twin]
    for tag in ("red", "blue"):
        execution = new.an_execution(twin, workflow_schema=new.a_workflow(version), tags=[tag])
        steps = [new.a_step(execution, ordinal=number, component_version_ref=version.id) for number in range(2)]
        steps[1].depends_on = [steps[0].id]
        logs = [new.a_log_entry(step, number) for step in steps for number in (1, 2)]
        outputs = [
            new.an_output(steps[0]),
            new.an_output(steps[0], friend),
            new.an_output(steps[1], public=True, file_type="text/csv"),
        ]
        chain += [execution, *steps, *logs, *outputs, new.a_result(execution, outputs, tags=[tag])]
    return chain


def _link(from_: list[Any], to: list[Any]) -> None:
    """Let one chain's first execution re-run another's, wait for its steps, and take and use their outputs."""
    execution, other = (next(one for one in chain if isinstance(one, documents.Execution)) for chain in (from_, to))
    step, target = (next(one for one in chain if isinstance(one, documents.Step)) for chain in (from_, to))
    execution.parent_ref = other.id
    step.depends_on = [*step.depends_on, target.id]
    used = [one for one in to if isinstance(one, documents.Output)]
    step.used = [Used(ref=output.id, step_key="used") for output in used]
    step.reused_from_ref = target.id


def _workflows(
    owner: documents.User, stranger: documents.User, version: documents.ComponentVersion
) -> list[documents.Workflow]:
    """A private workflow, a public one, a stranger's, and one without an owner."""
    return [
        new.a_named_workflow(owner, version, tags=["secret"]),
        new.a_named_workflow(owner, version, public=True, tags=["red"]),
        new.a_named_workflow(stranger, version, version),
        new.a_named_workflow(None, version),
    ]


def _external_data(owner: documents.User, stranger: documents.User) -> list[documents.Document]:
    """States of one URL: one that is public, one that the owner alone read, one of a stranger, and one of both."""
    url = "https://files.example/counts.csv"
    public = {"public": True, "created_at": now(), "size_bytes": 7}
    return [
        # Its bytes are those of all archives of the world.
        new.external_data(url=url, version="public", sha256="0" * 64, **public),
        new.external_data(owner, url=url, version="owner"),
        new.external_data(stranger, url=url, version="stranger"),
        new.external_data(stranger, owner, url=url, version="both", media_type=None),
    ]


def _tokens(
    owner: documents.User, stranger: documents.User, friend: documents.User, catalogue: list[documents.Document]
) -> list[documents.Document]:
    """Tokens of three users, one of which made another, and two that are bound."""
    organisation, resource, *_ = catalogue
    token = new.a_token(owner)
    return [
        token,
        new.a_token(owner, role="WORKER", ancestor_refs=[token.id]),
        new.a_token(stranger, revoked_at=now()),
        new.a_token(friend),
        new.a_token(None, organisation_ref=organisation.id),
        new.a_token(None, resource_ref=resource.id, expires_at=now()),
    ]


def _make_from(workflows: list[documents.Workflow], *chains: list[Any]) -> None:
    """Let the executions of each chain be made from all workflows in turn, whoever may see them."""
    executions = [one for chain in chains for one in chain if isinstance(one, documents.Execution)]
    for number, execution in enumerate(executions):
        execution.workflow_ref, execution.workflow_revision = workflows[number % len(workflows)].id, 1


def _run(chain: list[Any], worker: Viewer) -> None:
    """Let a worker be at work on a chain's first execution, which reuses a step of the other one."""
    execution = next(one for one in chain if isinstance(one, documents.Execution))
    steps = [one for one in chain if isinstance(one, documents.Step) and one.execution_ref == execution.id]
    ids = {step.id for step in steps}
    outputs = [one for one in chain if isinstance(one, documents.Output) and one.step_ref in ids]
    execution.status = ActivityStatus.RUNNING
    for one in (execution, *steps, *outputs):
        one.runners = [worker.key]
    reused = next(one for one in chain if isinstance(one, documents.Step) and one.execution_ref != execution.id)
    steps[1].reused_from_ref = reused.id
    for one in chain:
        if one is reused or (isinstance(one, documents.Output) and one.step_ref == reused.id):
            one.borrowers = [ReuseGrant(execution=execution.id, key=worker.key)]


def _a_gathering(owner: documents.User, outputs: list[documents.Output]) -> list[documents.Document]:
    """A public twin whose result lists outputs of every other twin."""
    twin = new.a_twin(owner, public=True)
    execution = new.an_execution(twin)
    return [twin, execution, new.a_result(execution, outputs)]


def _a_server(*owners: documents.User, public: bool) -> list[documents.Document]:
    """An instance with a report that replaced another, and one that cannot be read."""
    instance = new.an_instance(*owners, public=public, title="server" if public else "secret server")
    last = new.an_archive(instance, identifier="1.5")
    first = new.an_archive(instance, identifier="1.5", current=False, superseded_by_ref=last.id)
    unreadable = new.an_archive(instance, quarantine="It has the version 4.")
    generations = [
        new.a_generation(instance),
        new.a_generation(instance, status=GenerationStatus.READY),
        new.a_generation(instance, status=GenerationStatus.DISCARDED),
    ]
    kept = [one for generation in generations for one in _an_ingestion(instance, generation, last)]
    return [instance, first, last, unreadable, *generations, *kept]


def _an_ingestion(
    instance: documents.Instance, generation: documents.Generation, archive: documents.Archive
) -> list[documents.Document]:
    """An ingestion of a report with two jobs, and a row that could not be taken."""
    ingestion = new.an_ingestion(instance, generation, log_end=1)
    counts = IngestionCounts(jobs=2, rejected=1)
    part = new.a_part(ingestion, archive, counts=counts, status=ActivityStatus.SUCCEEDED)
    jobs = [
        new.a_job(generation, archive, external_id=number, parameters=[JobParameter(name="email", value=f'"{number}"')])
        for number in (1, 2)
    ]
    return [ingestion, part, new.a_log_entry(ingestion), new.a_rejection(part), *jobs, *usage_of(jobs)]


def _a_catalogue() -> list[documents.Document]:
    """One of each; its transform keeps logs where only workers can open them."""
    organisation = documents.Organisation(url="https://office.example")
    resource = documents.Resource(organisation_ref=organisation.id, title="births", code_repo=CodeRepo())
    dataset = documents.Dataset(resource_ref=resource.id, identifier="births")
    details = TransformDetails(logs="gs://a-bucket/logs", notebook="https://office.example/notebook")
    code = [CodeReference(repository=new.REPOSITORY, path="main.py", commit=new.COMMIT)]
    transform = documents.Transform(resource_ref=resource.id, details=details, code=code)
    version_id, distribution_id = "version_00000000000000000000000a", "distribution_00000000000000000000000a"
    version = documents.DatasetVersion(
        id=version_id, dataset_ref=dataset.id, label="v1", ordinal=1, distribution_ref=distribution_id
    )
    distribution = documents.Distribution(
        id=distribution_id,
        dataset_ref=dataset.id,
        version_ref=version_id,
        csvw="{}",
        sha256="0" * 64,
        size_bytes=2,
        transform_ref=transform.id,
    )
    dataset.latest_version_ref = version.id
    return [organisation, resource, dataset, version, distribution, transform, new.a_log_entry(transform)]
