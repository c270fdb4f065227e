"""Read policies: for each document, the filter that every find carries on behalf of a viewer.

The fields that a filter needs are stored on the document itself, so no read has to follow a chain of references. A
document that a filter hides does not exist for that viewer: lists, counts, links and lookups by id all leave it out.
"""

from collections.abc import Callable

import documents
from documents.galaxy.generation import GenerationStatus
from resolvers.access.viewer import Role, Viewer
from resolvers.filters import MATCH_NOTHING, Filter, InSubquery, any_of

Policy = Callable[[Viewer], Filter]

MATCH_ALL: Filter = {}


def allow_all(viewer: Viewer) -> Filter:
    """Published documents: the catalogue, the component registry, the names of users."""
    return MATCH_ALL


def deny_all(viewer: Viewer) -> Filter:
    """Documents that only the server itself reads."""
    return MATCH_NOTHING


READERS = "readerRefs"
"""Path of the ids of users with whom a digital twin is shared, on the twin and on everything below it."""


def public_or_owned(*paths: str) -> Policy:
    """Rows that are public, or have the viewer's user as owner or reader at one of these paths; all for an ADMIN."""

    def readable(viewer: Viewer) -> Filter:
        if viewer.role is Role.ADMIN:
            return MATCH_ALL
        if viewer.user_id is None:
            return {"public": True}
        return {"$or": [{"public": True}, *({path: viewer.user_id} for path in paths)]}

    return readable


def or_running_it(policy: Policy, id_path: str, *keys: str) -> Policy:
    """Executions and their contents: readable by `policy`, and by workers that run them, with their keys at these
    paths.

    At `id_path` is the id of the owning activity, which a worker sees once more when it reports the end.
    """

    def readable(viewer: Viewer) -> Filter:
        if viewer.role is not Role.WORKER:
            return policy(viewer)
        reported = [{id_path: {"$in": list(viewer.reported)}}] if viewer.reported else []
        return any_of([policy(viewer), *({path: viewer.key} for path in keys), *reported])

    return readable


RUNNER_KEYS = "runners"
"""Path of the keys of viewers who run an execution."""
BORROWER_KEYS = "borrowers.key"
"""Path of the keys of viewers who run an execution that reuses a step."""


def readable_outputs(viewer: Viewer) -> Filter:
    """Outputs by their own access control, or for owner and readers of their twin: a public twin does not publish its
    outputs."""
    if viewer.role is Role.ADMIN:
        return MATCH_ALL
    public: Filter = {"access_control.public": True}
    if viewer.user_id is None:
        return public
    paths = ("ownerRef", READERS, "access_control.authorized_users")
    return {"$or": [public, *({path: viewer.user_id} for path in paths)]}


def own_uploads(viewer: Viewer) -> Filter:
    """Uploads of the viewer: other viewers may not register the bytes, not even administrators."""
    return MATCH_NOTHING if viewer.role is Role.ANONYMOUS else {"viewerKey": viewer.key}


def own_tokens(viewer: Viewer) -> Filter:
    """Tokens that stand for a USER; all for an ADMIN. Workers see none, whomever they stand for."""
    if viewer.role is Role.ADMIN:
        return MATCH_ALL
    return {"userRef": viewer.user_id} if viewer.role is Role.USER and viewer.user_id else MATCH_NOTHING


def jobs_of_readable_generations(viewer: Viewer) -> Filter:
    """Jobs by their generation, which is as readable as its instance: jobs are too many to carry access fields
    themselves."""
    if viewer.role is Role.ADMIN:
        return MATCH_ALL
    not_discarded: Filter = {"status": {"$ne": GenerationStatus.DISCARDED.value}}
    return {"generationRef": InSubquery(documents.Generation, not_discarded, "_id")}


POLICIES: dict[type[documents.Document], Policy] = {
    documents.Organisation: allow_all,
    documents.Resource: allow_all,
    documents.Dataset: allow_all,
    documents.DatasetVersion: allow_all,
    documents.Distribution: allow_all,
    documents.Transform: allow_all,
    documents.User: allow_all,
    documents.Component: allow_all,
    documents.ComponentVersion: allow_all,
    documents.DigitalTwin: public_or_owned("userRef", READERS),
    documents.Execution: or_running_it(public_or_owned("ownerRef", READERS), "_id", RUNNER_KEYS),
    documents.Step: or_running_it(public_or_owned("ownerRef", READERS), "executionRef", RUNNER_KEYS, BORROWER_KEYS),
    documents.Result: public_or_owned("ownerRef", READERS),
    documents.Workflow: public_or_owned("ownerRef"),
    documents.Output: or_running_it(readable_outputs, "stepRef", RUNNER_KEYS, BORROWER_KEYS),
    # Log lines have no access fields: they are reached only through their activity, which has been checked by then.
    documents.LogEntry: allow_all,
    # The target of a former id or URL is as public as the organisation that it leads to.
    documents.FormerOrganisation: allow_all,
    documents.IdempotencyKey: deny_all,
    documents.ImportedRow: deny_all,
    documents.QuotaUsage: deny_all,
    documents.SeenFile: deny_all,
    documents.Token: own_tokens,
    documents.Upload: own_uploads,
    # A private activity that reads from a URL tells nobody but its owner of it.
    documents.ExternalData: public_or_owned("ownerRefs"),
    documents.Instance: public_or_owned("ownerRefs"),
    documents.Archive: public_or_owned("ownerRefs"),
    documents.Generation: public_or_owned("ownerRefs"),
    documents.Ingestion: public_or_owned("ownerRefs"),
    documents.IngestionPart: deny_all,
    # Rejections, like log lines, are reached through their ingestion alone.
    documents.Rejection: allow_all,
    documents.Usage: deny_all,
    documents.DailyUsage: deny_all,
    documents.Job: jobs_of_readable_generations,
}


READABLE_WITH_SOURCE: dict[type[documents.Document], frozenset[str]] = {
    documents.Resource: frozenset({"organisation_ref"}),
    documents.Dataset: frozenset({"resource_ref"}),
    documents.DatasetVersion: frozenset({"dataset_ref", "distribution_ref"}),
    documents.Distribution: frozenset({"dataset_ref", "version_ref"}),
    documents.Transform: frozenset({"resource_ref"}),
    documents.ComponentVersion: frozenset({"component_ref"}),
    documents.DigitalTwin: frozenset({"owner_ref"}),
    documents.Step: frozenset({"component_version_ref"}),
    documents.Result: frozenset({"digital_twin_ref", "execution_ref"}),
    documents.Archive: frozenset({"instance_ref"}),
    documents.Generation: frozenset({"instance_ref"}),
    documents.Ingestion: frozenset({"instance_ref"}),
    documents.Job: frozenset({"instance_ref", "archive_ref"}),
    documents.Rejection: frozenset({"archive_ref"}),
}
"""References whose target is visible to every viewer of the document: the only links that a view may show as non-null.

Where a target can be hidden from a reader of its source, a non-null link would make the whole list around it null.
`tests/graph/core/test_required_links.py` derives this table from the policies above.
"""


def readable(document: type[documents.Document], viewer: Viewer) -> Filter:
    """The filter for the documents of this kind that `viewer` may see."""
    return POLICIES[document](viewer)


def owns(viewer: Viewer, owner_id: str) -> bool:
    """Whether `viewer` may change an object of `owner_id`, and see what only its owner sees."""
    return viewer.role is Role.ADMIN or (viewer.user_id is not None and viewer.user_id == owner_id)


def owns_any(viewer: Viewer, owner_ids: list[str] | None) -> bool:
    """Whether `viewer` may change an object of several owners, or of none."""
    return viewer.role is Role.ADMIN or (viewer.user_id is not None and viewer.user_id in (owner_ids or []))
