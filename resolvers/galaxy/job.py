"""Computed fields of jobs: metrics with their numbers, and filtered lists."""

from documents.base import EmbeddedModel
from documents.galaxy.job import DatasetDirection
from resolvers.access.viewer import Viewer
from resolvers.galaxy.report.job_bson import number_of
from resolvers.reads.rows import Row


class Metric(EmbeddedModel):
    """A metric: its text, and its number where it is one."""

    plugin: str
    name: str
    number: float | None
    text: str


def metrics(
    jobs: list[Row], viewer: Viewer, *, plugin: str | None = None, names: list[str] | None = None
) -> list[list[Row]]:
    """The metrics of each job; optionally those of one plugin or with one of these names."""
    selected = None if names is None else frozenset(names)
    return [
        [
            {**metric, "number": number_of(metric["text"])}
            for metric in job.get("metrics") or []
            if plugin in (None, metric["plugin"]) and (selected is None or metric["name"] in selected)
        ]
        for job in jobs
    ]


def datasets(jobs: list[Row], viewer: Viewer, *, direction: DatasetDirection | str | None = None) -> list[list[Row]]:
    """The datasets of each job; optionally inputs or outputs only."""
    return [
        [dataset for dataset in job.get("datasets") or [] if direction in (None, dataset["direction"])] for job in jobs
    ]
