"""What is worked out about jobs: numbers of texts, parts of lists, and what only owners may see."""

import documents
from documents.base import Embedded, JsonText
from documents.job import DatasetDirection
from resolvers import fetch
from resolvers.fetch import Row
from resolvers.ingest.report.number import number_of
from resolvers.policies import owns_any
from resolvers.viewer import Role, Viewer


class Metric(Embedded):
    """A measurement: as it was written, and as a number where it is one."""

    plugin: str
    name: str
    number: float | None
    text: str


class Parameter(Embedded):
    """A parameter; its value is None for those who may not see it."""

    name: str
    value: JsonText | None


def metrics(
    jobs: list[Row], viewer: Viewer, *, plugin: str | None = None, names: list[str] | None = None
) -> list[list[Row]]:
    """The measurements of each job, those of one plugin or with one of these names if so asked."""
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
    """The datasets of each job, those that it read or those that it wrote if so asked."""
    return [[one for one in job.get("datasets") or [] if direction in (None, one["direction"])] for job in jobs]


async def parameters(jobs: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The parameters of each job, with their values where the viewer owns the instance."""
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
