"""Who may see what: for each document, the filter that every find carries on behalf of a viewer.

What a filter needs stands on the document itself, so no read has to climb a chain. What a filter hides does not exist
for that viewer: it is missing from lists, counts, links and look-ups by id alike.
"""

from collections.abc import Callable

import documents
from documents.generation import GenerationStatus
from resolvers.filters import NEVER, Among, Filter, any_of
from resolvers.viewer import Role, Viewer

Policy = Callable[[Viewer], Filter]

EVERYTHING: Filter = {}


def everybody(viewer: Viewer) -> Filter:
    """What is published: the catalogue, the component registry, the names of users."""
    return EVERYTHING


def nobody(viewer: Viewer) -> Filter:
    """What only the server itself reads."""
    return NEVER


def public_or_owned(owner_path: str) -> Policy:
    """Twins and what follows them: public, the viewer's own, or anything for an administrator."""

    def readable(viewer: Viewer) -> Filter:
        if viewer.role is Role.ADMIN:
            return EVERYTHING
        if viewer.user_id is None:
            return {"public": True}
        return {"$or": [{"public": True}, {owner_path: viewer.user_id}]}

    return readable


def or_run(policy: Policy, id_path: str, *keys: str) -> Policy:
    """Executions and what is in them: as `policy` says, and what a worker runs, with its key at these paths.

    At `id_path` stands what it belongs to, which a worker is shown once more when it reports the end.
    """

    def readable(viewer: Viewer) -> Filter:
        if viewer.role is not Role.WORKER:
            return policy(viewer)
        reported = [{id_path: {"$in": list(viewer.reported)}}] if viewer.reported else []
        return any_of([policy(viewer), *({path: viewer.key} for path in keys), *reported])

    return readable


RUNS = "runners"
"""Where the keys of those stand who run an execution."""
REUSES = "borrowers.key"
"""Where the keys of those stand who run what reuses a step."""


def readable_outputs(viewer: Viewer) -> Filter:
    """Outputs by their own access control or their twin's owner: a public twin does not publish them."""
    if viewer.role is Role.ADMIN:
        return EVERYTHING
    public: Filter = {"access_control.public": True}
    if viewer.user_id is None:
        return public
    return {"$or": [public, {"ownerRef": viewer.user_id}, {"access_control.authorized_users": viewer.user_id}]}


def own_uploads(viewer: Viewer) -> Filter:
    """Uploads by who began them: nobody else may register the bytes, administrators neither."""
    return NEVER if viewer.role is Role.ANONYMOUS else {"viewerKey": viewer.key}


def of_generation(viewer: Viewer) -> Filter:
    """Jobs by their generation, which is readable as its instance is: they are too many to carry rights themselves."""
    if viewer.role is Role.ADMIN:
        return EVERYTHING
    kept: Filter = {"status": {"$ne": GenerationStatus.DISCARDED.value}}
    return {"generationRef": Among(documents.Generation, kept, "_id")}


POLICIES: dict[type[documents.Document], Policy] = {
    documents.Organisation: everybody,
    documents.Resource: everybody,
    documents.Dataset: everybody,
    documents.DatasetVersion: everybody,
    documents.Distribution: everybody,
    documents.Transform: everybody,
    documents.User: everybody,
    documents.Component: everybody,
    documents.ComponentVersion: everybody,
    documents.DigitalTwin: public_or_owned("userRef"),
    documents.Execution: or_run(public_or_owned("ownerRef"), "_id", RUNS),
    documents.Step: or_run(public_or_owned("ownerRef"), "executionRef", RUNS, REUSES),
    documents.Result: public_or_owned("ownerRef"),
    documents.Output: or_run(readable_outputs, "stepRef", RUNS, REUSES),
    # Log lines carry no rights: they are reached through their activity alone, which has been checked by then.
    documents.LogEntry: everybody,
    documents.Reservation: nobody,
    documents.SeenFile: nobody,
    documents.Token: nobody,
    documents.Upload: own_uploads,
    documents.Instance: public_or_owned("ownerRefs"),
    documents.Archive: public_or_owned("ownerRefs"),
    documents.Generation: public_or_owned("ownerRefs"),
    documents.Ingestion: public_or_owned("ownerRefs"),
    documents.IngestionPart: nobody,
    # Rejections, like log lines, are reached through their ingestion alone.
    documents.Rejection: everybody,
    documents.Usage: nobody,
    documents.DailyUsage: nobody,
    documents.Job: of_generation,
}


def readable(document: type[documents.Document], viewer: Viewer) -> Filter:
    """The filter that keeps `viewer` to what they may see of `document`."""
    return POLICIES[document](viewer)


def owns(viewer: Viewer, owner_id: str) -> bool:
    """Whether `viewer` may change what belongs to `owner_id`, and see what only its owner sees."""
    return viewer.role is Role.ADMIN or (viewer.user_id is not None and viewer.user_id == owner_id)


def owns_any(viewer: Viewer, owner_ids: list[str] | None) -> bool:
    """The same for what belongs to several, or names nobody."""
    return viewer.role is Role.ADMIN or (viewer.user_id is not None and viewer.user_id in (owner_ids or []))
