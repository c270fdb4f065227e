"""Parameters of jobs, and who may see their values: owners of the instance, and administrators."""

import documents
from documents.base import EmbeddedModel, JsonText
from resolvers.access.policies import owns_any
from resolvers.access.viewer import Role, Viewer
from resolvers.reads import lookups
from resolvers.reads.rows import Row


class Parameter(EmbeddedModel):
    """A parameter; its value is None for viewers who may not see it."""

    name: str
    value: JsonText | None


async def parameters(jobs: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The parameters of each job, with values where the viewer owns the instance."""
    own = await _own_instances({job["instanceRef"] for job in jobs}, viewer)
    return [
        [
            {"name": parameter["name"], "value": parameter["value"] if job["instanceRef"] in own else None}
            for parameter in job.get("parameters") or []
        ]
        for job in jobs
    ]


async def _own_instances(ids: set[str], viewer: Viewer) -> set[str]:
    """Those of these instances whose parameters the viewer may see."""
    if viewer.role is Role.ADMIN:
        return ids
    if viewer.user_id is None:
        return set()
    instances = await lookups.by_ids(documents.Instance, ids, frozenset({"_id", "ownerRefs"}), viewer)
    return {id for id, instance in instances.items() if owns_any(viewer, instance.get("ownerRefs"))}
