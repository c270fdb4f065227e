"""Migrations of databases that an earlier release wrote to the form that this release reads and writes.

The database's schema version is stored in its collection `schema_version`; databases from before that collection have
version 1. An empty database gets the newest version at once. `migrate` acquires a lock, runs the steps above the
database's version in order, and then makes the indexes that documents declare; it rebuilds those whose declarations
changed, and drops those of earlier releases (`RETIRED` in `indexes.py`).

To add a step, when a document changes in a way that older rows do not fit:

1. Write `step_NNNN_what_it_does.py` with a `STEP`, after `step.py`: its version is one above the newest, `run` writes
   in batches through `Work.update`, `Work.rewrite` or `Work.commit`, and `count` says for `migrate --dry-run` how many
   rows are left.
2. Add it to `STEPS` in `step_list.py`.
3. Give it a test in `tests/documents/migrations/` on a small database that the version before it made.

A step may be killed anywhere and is then run again from its last batch. While it runs, and until the new release
serves, servers of the previous release go on writing: give new fields a default that is equivalent to the value that
the step fills in. Indexes that are only added need no step; one that is no longer declared needs a line in `RETIRED`.
"""

from documents.migrations.runner import (
    INDEXES,
    Plan,
    make_indexes,
    migrate,
    plan,
    record_newest_version,
    schema_problem,
)
from documents.migrations.schema_version import LockLost, SchemaError
from documents.migrations.step import ReportProgress, Step, Work
from documents.migrations.step_list import STEPS

__all__ = [
    "INDEXES",
    "STEPS",
    "LockLost",
    "Plan",
    "ReportProgress",
    "SchemaError",
    "Step",
    "Work",
    "make_indexes",
    "migrate",
    "plan",
    "record_newest_version",
    "schema_problem",
]
