"""Computed fields of jobs: numeric metrics, filtered lists, and values that only owners may see."""

import documents
from documents.base import EmbeddedModel, JsonText
from documents.galaxy.job import DatasetDirection
from resolvers.access.policies import owns_any
from resolvers.access.viewer import Role, Viewer
from resolvers.galaxy.report.number import number_of
from resolvers.reads import fetch
from resolvers.reads.fetch import Row


class Metric(EmbeddedModel):
    """A metric: its text, and its number where it is one."""

    plugin: str
    name: str
    number: float | None
    text: str


class Parameter(EmbeddedModel):
    """A parameter; its value is None for viewers who may not see it."""

    name: str
    value: JsonText | None


def metrics(
    jobs: list[Row], viewer: Viewer, *, plugin: str | None = None, names: list[str] | None = None
) -> list[list[Row]]:
    """The metrics of each job; optionally those of one plugin or with one of these names."""
    wanted = None if names is None else frozenset(names)
    return [
        [
            {**metric, "number": number_of(metric["text"])}
            for metric in job.get("metrics") or []
            if plugin in (None, metric["plugin"]) and (wanted is None or metric["name"] in wanted)
        ]
        for job in jobs
    ]


def datasets(jobs: list[Row], viewer: Viewer, *, direction: DatasetDirection | str | None = None) -> list[list[Row]]:
    """The datasets of each job; optionally inputs or outputs only."""
    return [[one for one in job.get("datasets") or [] if direction in (None, one["direction"])] for job in jobs]


async def parameters(jobs: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The parameters of each job, with values where the viewer owns the instance."""
    own = await _own_instances({job["instanceRef"] for job in jobs}, viewer)
    return [
        [
            {"name": one["name"], "value": one["value"] if job["instanceRef"] in own else None}
            for one in job.get("parameters") or []
        ]
        for job in jobs
    ]


async def _own_instances(ids: set[str], viewer: Viewer) -> set[str]:
    if viewer.role is Role.ADMIN:
        return ids
    if viewer.user_id is None:
        return set()
    found = await fetch.by_ids(documents.Instance, ids, frozenset({"_id", "ownerRefs"}), viewer)
    return {id for id, instance in found.items() if owns_any(viewer, instance.get("ownerRefs"))}
