"""Importing a whole ODTP database (https://github.com/odtp-org/odtp), as versions up to 0.5 write it.

What others refer to is written first, and every id is that of ODTP's row: an import that was stopped anywhere leaves
a database that holds together, and the next one adds what is missing.
"""

from resolvers.ingest.odtp_executions import import_executions
from resolvers.ingest.odtp_logs import import_logs
from resolvers.ingest.odtp_outputs import import_outputs, import_results
from resolvers.ingest.odtp_people import import_twins, import_users
from resolvers.ingest.odtp_registry import import_components, import_versions
from resolvers.ingest.odtp_stage import Import, Progress, Source
from resolvers.ingest.odtp_steps import import_steps
from resolvers.ingest.odtp_summary import Summary, counted

OUTPUTS = ("outputs", "output")
"""What the collection is called, and what its documentation calls it."""

COLLECTIONS = frozenset({
    "users", "digitalTwins", "components", "versions", "executions", "steps", *OUTPUTS, "results", "logs", "workflows",
})  # fmt: skip


class NotOdtp(Exception):
    """A database without any of the collections of ODTP."""


async def import_odtp(source: Source, progress: Progress) -> Summary:
    """Take everything that has a place here out of `source`, which is only read; what was done with each row.

    `progress` is told a collection, how many of its rows are done, and how many there are. Rows that are here already
    are left as they are. Raises NotOdtp when the database is not one of ODTP.
    """
    names = set(await source.list_collection_names())
    if not names & COLLECTIONS:
        raise NotOdtp(f"The database {source.name} has none of the collections of ODTP.")
    at = Import(source, progress)
    await import_users(at)
    await import_twins(at)
    await import_components(at)
    await import_versions(at)
    await import_executions(at)
    await import_steps(at)
    for collection in OUTPUTS:
        if collection in names:
            await import_outputs(at, collection)
    await import_results(at)
    await import_logs(at)
    await _refuse_workflows(at)
    await _refuse_unknown(at, names)
    at.report_left_out()
    return at.summary


async def _refuse_workflows(at: Import) -> None:
    await at.expect("workflows")
    async for rows in at.batches("workflows", fields=["_id"]):
        for row in rows:
            at.refuse(row, "Templates of workflows are not kept here; each execution has its own copy of its workflow.")
        at.advance("workflows", len(rows))


async def _refuse_unknown(at: Import, names: set[str]) -> None:
    for name in sorted(name for name in names - COLLECTIONS if not name.startswith("system.")):
        rows = await at.source[name].estimated_document_count()
        at.summary.refuse(name, "", f"This is no collection of ODTP; left out: {counted(rows, 'row')}.", rows)
