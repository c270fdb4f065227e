"""Importing a whole ODTP database (https://github.com/odtp-org/odtp), as versions up to 0.5 write it.

Referenced documents are written first, and every id is that of ODTP's row: an import that stops anywhere leaves a
consistent database, and the next one adds the missing documents. The imported values are recorded, so that each import
applies the changes made in ODTP since the last one, and keeps the changes made here.
"""

from resolvers.imports.odtp.collection_import import ImportRun, Progress, Source
from resolvers.imports.odtp.components import import_components, import_versions
from resolvers.imports.odtp.executions import import_executions
from resolvers.imports.odtp.logs import import_logs
from resolvers.imports.odtp.outputs import import_outputs, import_results
from resolvers.imports.odtp.steps import import_steps
from resolvers.imports.odtp.used import import_used
from resolvers.imports.odtp.users import import_twins, import_users
from resolvers.imports.odtp.workflows import import_workflows
from resolvers.imports.summary import Summary, quantity

OUTPUTS = ("outputs", "output")
"""The name of the collection, and its name in ODTP's documentation."""

COLLECTIONS = frozenset({
    "users", "digitalTwins", "components", "versions", "executions", "steps", *OUTPUTS, "results", "logs", "workflows",
})  # fmt: skip


class NotOdtpError(Exception):
    """The database has none of the collections of ODTP."""


async def import_odtp(source: Source, progress: Progress) -> Summary:
    """Import everything that has an equivalent here from `source`, which is only read; returns a summary of all rows.

    `progress` is called with a collection, how many of its rows are done, and how many there are. Existing documents
    get the changes made in ODTP but not here; if both sides have changed, access is only narrowed. Documents deleted in
    ODTP stay here, and are reported. Raises NotOdtpError if the database is not one of ODTP.
    """
    names = set(await source.list_collection_names())
    if not names & COLLECTIONS:
        raise NotOdtpError(f"The database {source.name} has none of the collections of ODTP.")
    run = ImportRun(source, progress)
    await import_users(run)
    await import_twins(run)
    await import_components(run)
    await import_versions(run)
    await import_workflows(run)
    await import_executions(run)
    await import_steps(run)
    for collection in OUTPUTS:
        if collection in names:
            await import_outputs(run, collection)
    await import_used(run)
    await import_results(run)
    await import_logs(run)
    await _refuse_unknown(run, names)
    for collection in sorted(COLLECTIONS):
        await run.report_deleted(collection)
    run.report_left_out()
    return run.summary


async def _refuse_unknown(run: ImportRun, names: set[str]) -> None:
    for name in sorted(name for name in names - COLLECTIONS if not name.startswith("system.")):
        rows = await run.source[name].estimated_document_count()
        run.summary.refuse(name, "", f"This is not a collection of ODTP; left out: {quantity(rows, 'row')}.", rows)
