"""Running steps and making indexes; checking a database before a server works on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import documents
from documents.migrations.indexes import IndexChanges, drop_index, find_changes, make_index, rebuild_index
from documents.migrations.schema_version import Database, Lock, SchemaError, SchemaVersion, migration_lock, read_version
from documents.migrations.step import ReportProgress, Step, Work
from documents.migrations.step_list import OLDEST_VERSION, STEPS, newest_version

WAITING = "Wait for another process that migrates the database."
INDEXES = "Make the indexes that documents declare."
MIGRATE = "run `provenance-graph migrate`"


def _ignore(work: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Plan:
    """The work that `migrate` would do on a database."""

    version: int | None
    """The schema version that the database is at, None where it is empty."""
    newest: int
    steps: list[tuple[Step, int]]
    """The steps that would run, and how many rows each would change."""
    indexes: IndexChanges

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.version != self.newest or self.indexes.required or self.indexes.retired)


async def migrate(database: Database, report: ReportProgress = _ignore, steps: Sequence[Step] = STEPS) -> int:
    """Bring a database to the newest schema version and its indexes in line with their declarations; returns the
    version.

    Waits while another process does the same. Raises SchemaError where a newer release made the database, or documents
    violate a unique index.
    """
    if (await plan(database, steps)).has_work:
        empty = await _is_empty(database)
        at = newest_version(steps) if empty else OLDEST_VERSION
        async with migration_lock(database, at, lambda: report(WAITING, 0, 1)) as lock:
            await _run_steps(lock, report, steps)
            await make_indexes(database, report)
    return newest_version(steps)


async def record_newest_version(database: Database, steps: Sequence[Step] = STEPS) -> None:
    """Record that an empty database is at the newest version, before it is filled without indexes."""
    async with migration_lock(database, newest_version(steps), lambda: None):
        return


async def plan(database: Database, steps: Sequence[Step] = STEPS) -> Plan:
    """The work that `migrate` would do; changes nothing. Raises SchemaError where a newer release made the database."""
    at = await _current_version(database)
    _check_not_newer(at, steps)
    left = [step for step in steps if at is not None and step.version > at.version]
    counted = [(step, await step.count(database)) for step in left]
    return Plan(at.version if at else None, newest_version(steps), counted, await find_changes(database))


async def schema_problem(database: Database, steps: Sequence[Step] = STEPS) -> str | None:
    """The reason why a server of this release must not work on the database, and what to do; None when it may."""
    at, needed = await _current_version(database), newest_version(steps)
    if at is not None and at.version > needed:
        return _newer_than_release(at.version, needed)
    problem = await _describe_lack(database, at, needed)
    if problem and at is not None and at.holder:
        return (
            f"The database is being migrated to schema version {needed}. The server starts serving when that is done."
        )
    return problem


async def _describe_lack(database: Database, at: SchemaVersion | None, needed: int) -> str | None:
    """A sentence about steps or indexes that a database lacks, None when it lacks none."""
    if at is None:
        return f"The database is empty and has no indexes: {MIGRATE}."
    if at.version < needed:
        return f"The database is at schema version {at.version}, this server needs {needed}: {MIGRATE}."
    missing = (await find_changes(database)).required
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"The database lacks the index {missing[0]}{others}: {MIGRATE}."
    return None


async def _current_version(database: Database) -> SchemaVersion | None:
    """The version that a database is at, None where it is empty."""
    recorded = await read_version(database)
    if recorded is None and not await _is_empty(database):
        return SchemaVersion(OLDEST_VERSION)
    return recorded


async def _is_empty(database: Database) -> bool:
    """Whether no collection of a document has a row."""
    names = {document.collection_name() for document in documents.ALL}
    for name in names & set(await database.list_collection_names()):
        if await database[name].find_one({}, {"_id": 1}) is not None:
            return False
    return True


def _newer_than_release(version: int, needed: int) -> str:
    return (
        f"The database is at schema version {version}, which a newer release made; this release knows {needed}. "
        "Use that release, or restore the backup that was made before it."
    )


def _check_not_newer(at: SchemaVersion | None, steps: Sequence[Step]) -> None:
    if at is not None and at.version > newest_version(steps):
        raise SchemaError(_newer_than_release(at.version, newest_version(steps)))


async def _run_steps(lock: Lock, report: ReportProgress, steps: Sequence[Step]) -> None:
    """Run the remaining steps, after a previous holder of the lock may have run some."""
    at = await read_version(lock.database)
    assert at is not None, "the lock is stored in it"
    _check_not_newer(at, steps)
    for step in steps:
        if step.version <= at.version:
            continue
        total = await step.count(lock.database)
        report(step.description, 0, total)
        work = Work(lock, step, at.position if at.step == step.version else {}, total, report)
        await step.run(work)
        await lock.finish(step.version)
        report(step.description, total, total)


async def make_indexes(database: Database, report: ReportProgress = _ignore) -> None:
    """Make the indexes that documents declare, rebuild those that changed, and drop those of earlier releases."""
    changes = await find_changes(database)
    total, done = len(changes.required) + len(changes.retired), 0
    for index in changes.required:
        report(INDEXES, done, total)
        if index in changes.changed:
            await rebuild_index(database, index, changes.changed[index])
        else:
            await make_index(database, index)
        done += 1
    for collection, name in changes.retired:
        report(INDEXES, done, total)
        await drop_index(database, collection, name)
        done += 1
    if total:
        report(INDEXES, total, total)
