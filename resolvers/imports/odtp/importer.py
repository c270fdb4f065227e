"""Importing a whole ODTP database (https://github.com/odtp-org/odtp), as versions up to 0.5 write it.

Referenced documents are written first, and every id is that of ODTP's row: an import that was stopped anywhere leaves a
consistent database, and the next one adds what is missing. The imported values are recorded, so that each import takes
over changes in ODTP since the last one, and leaves changes made here.
"""

from resolvers.imports.odtp.collection_import import Import, Progress, Source
from resolvers.imports.odtp.components import import_components, import_versions
from resolvers.imports.odtp.executions import import_executions
from resolvers.imports.odtp.logs import import_logs
from resolvers.imports.odtp.outputs import import_outputs, import_results
from resolvers.imports.odtp.steps import import_steps
from resolvers.imports.odtp.users import import_twins, import_users
from resolvers.imports.odtp.workflows import import_workflows
from resolvers.imports.summary import Summary, counted

OUTPUTS = ("outputs", "output")
"""The name of the collection, and its name in ODTP's documentation."""

COLLECTIONS = frozenset({
    "users", "digitalTwins", "components", "versions", "executions", "steps", *OUTPUTS, "results", "logs", "workflows",
})  # fmt: skip


class NotOdtp(Exception):
    """A database without any of the collections of ODTP."""


async def import_odtp(source: Source, progress: Progress) -> Summary:
    """Import everything that has an equivalent here from `source`, which is only read; returns a summary of all rows.

    `progress` is called with a collection, how many of its rows are done, and how many there are. Existing documents
    take over changes made in ODTP but not here; where both have changed, access is only narrowed. Documents deleted in
    ODTP stay here, and are reported. Raises NotOdtp when the database is not one of ODTP.
    """
    names = set(await source.list_collection_names())
    if not names & COLLECTIONS:
        raise NotOdtp(f"The database {source.name} has none of the collections of ODTP.")
    at = Import(source, progress)
    await import_users(at)
    await import_twins(at)
    await import_components(at)
    await import_versions(at)
    await import_workflows(at)
    await import_executions(at)
    await import_steps(at)
    for collection in OUTPUTS:
        if collection in names:
            await import_outputs(at, collection)
    await import_results(at)
    await import_logs(at)
    await _refuse_unknown(at, names)
    for collection in sorted(COLLECTIONS):
        await at.report_gone(collection)
    at.report_left_out()
    return at.summary


async def _refuse_unknown(at: Import, names: set[str]) -> None:
    for name in sorted(name for name in names - COLLECTIONS if not name.startswith("system.")):
        rows = await at.source[name].estimated_document_count()
        at.summary.refuse(name, "", f"This is no collection of ODTP; left out: {counted(rows, 'row')}.", rows)
