"""Asking for ingestions and generations as their owner would."""

from typing import Any

import documents
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import collection_of
from tests.support import builders as new
from tests.support.asking import ask
from tests.support.builders import keep
from tests.support.ingesting import Server, a_job, a_runtime, read_here, works
from tests.support.reports import report

COUNTS = "counts { archives jobs metrics datasets parameters duplicates rejected }"
INGESTION = f"""id kind status dryRun reason error {{ code message }} generation {{ id status }}
  progress {{ unit completed total rejected }} {COUNTS}"""
ERRORS = "userErrors { __typename code message path ... on InvalidState { currentState allowedStates } }"
GENERATION = "id status parserVersion archives jobs contentHash reason activatedAt"
INPUTS = {
    "ingestArchives": f"ingestion {{ {INGESTION} }}",
    "reprocessArchives": f"ingestion {{ {INGESTION} }}",
    "cancelIngestion": f"ingestion {{ {INGESTION} }}",
    "activateGeneration": f"generation {{ {GENERATION} }}",
    "discardGeneration": f"generation {{ {GENERATION} }}",
}


async def a_viewer() -> Viewer:
    """A viewer with a user of their own."""
    user = new.a_user()
    await keep(user)
    return Viewer(Role.USER, user.id)


class ActiveInstance:
    """An instance with an active generation and its report."""

    def __init__(self, owner: Viewer, **fields: Any) -> None:
        self.instance = new.an_instance(owner_refs=[owner.user_id], **fields)
        self.generation = new.a_generation(self.instance)
        self.archive = new.an_archive(self.instance)

    async def keep(self, *jobs: documents.Job) -> None:
        await keep(self.instance, self.generation, self.archive, *jobs)

    def job(self, generation: documents.Generation | None = None, **fields: Any) -> documents.Job:
        return new.a_job(generation or self.generation, self.archive, **fields)


async def a_server(owner: Viewer, **fields: Any) -> Server:
    """A server of the viewer's."""
    return await Server.new(owner_refs=[owner.user_id], **fields)


def a_report(*ids: int, state: str = "ok") -> bytes:
    """A report of these jobs, each with a runtime, a parameter and two datasets."""
    return report(
        jobs=[a_job(id, state=state) for id in ids],
        metric_num=[a_runtime(id, id + 0.5) for id in ids],
        params=[f'{id}\temail\t"\\"somebody@people.example\\""' for id in ids],
        datasets=[f"{id}\t{id}{n}\tbed\t{n}\tname{n}\t{way}" for id in ids for n, way in ((1, "input"), (2, "output"))],
    )


async def call(viewer: Viewer, mutation: str, **given: Any) -> Any:
    """The payload of a mutation of ingestions or generations."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    query = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {INPUTS[mutation]} {ERRORS} }} }}"
    return (await ask(query, viewer, input=given))[mutation]


async def call_granted(viewer: Viewer, mutation: str, **given: Any) -> Any:
    """Call a mutation that is not refused; returns its object."""
    payload = await call(viewer, mutation, **given)
    assert payload.pop("userErrors") == []
    (shown,) = payload.values()
    return shown


async def call_refused(viewer: Viewer, mutation: str, **given: Any) -> list[tuple[str, str, str]]:
    """Call a mutation that is refused; returns the code, message and path of each refusal."""
    payload = await call(viewer, mutation, **given)
    errors = payload.pop("userErrors")
    assert not any(payload.values())
    return [(one["code"], one["message"], ".".join(one["path"][1:])) for one in errors]


async def ingestion(viewer: Viewer, id: str) -> Any:
    """An ingestion as it is now."""
    query = f"query ($id: ID!) {{ node(id: $id) {{ ... on Ingestion {{ {INGESTION} }} }} }}"
    return (await ask(query, viewer, id=id))["node"]


async def of_instance(viewer: Viewer, server: Server, selected: str) -> Any:
    """The selected fields of the server's instance."""
    query = f"query ($id: ID) {{ instance(id: $id) {{ {selected} }} }}"
    return (await ask(query, viewer, id=server.id))["instance"]


async def shown_jobs(viewer: Viewer, server: Server, where: str = "") -> list[int]:
    """The numbers of the jobs that the instance shows, in order."""
    asked = f"jobs(first: 100, orderBy: [{{ field: EXTERNAL_ID, direction: ASC }}]{where}) {{ nodes {{ externalId }} }}"
    shown = await of_instance(viewer, server, asked)
    return [int(job["externalId"]) for job in shown["jobs"]["nodes"]]


async def generations(viewer: Viewer, server: Server) -> dict[str, str]:
    """The status of each generation of an instance by its id, oldest first."""
    shown = await of_instance(viewer, server, "generations { nodes { id status } }")
    return {one["id"]: one["status"] for one in shown["generations"]["nodes"]}


async def a_taken_report(viewer: Viewer, server: Server, *ids: int) -> documents.Archive:
    """A report that was sent and ingested."""
    sent = await server.sends(a_report(*ids))
    await call_granted(viewer, "ingestArchives", instanceId=server.id)
    await work()
    return sent


async def replace_report(server: Server, archive: documents.Archive, content: bytes) -> documents.Archive:
    """Send a report in place of another; returns its archive."""
    replacing = await server.sends(content, identifier=archive.identifier, current=False)
    archives = collection_of(documents.Archive)
    gone = {"current": False, "supersededByRef": replacing.id}
    await archives.update_one({"_id": archive.id}, {"$set": gone})
    await archives.update_one({"_id": replacing.id}, {"$set": {"current": True}})
    return replacing


async def work(**options: Any) -> None:
    """Let a worker take what waits."""
    await works(read=read_here, **options)
