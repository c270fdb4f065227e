"""Step 4: URLs are kept without users, passwords, signatures and tokens.

Documents with such a URL are found by the URL without secrets. Where another document has that URL already, as when a
pipeline registered one repository with a new token each time, a component's address gets the component's id after a
`#`, and a resource is found by its id alone.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from documents.migrations.moved_files import writes_that_move
from documents.migrations.step import Database, Step, Work, Write
from documents.storage.url_secrets import without_secrets

Row = dict[str, Any]

CANDIDATE = {"$regex": "://[^/]*@|[?&#][^=&]+="}
"""Values that may hold a secret; each row is then checked exactly."""
PATHS = {
    "components": ["repoLink"],
    "resources": ["landing_page", "code_repo.url", "code_repo.monitor_dirs.url", "code_repo.monitor_dirs.prefix"],
    "seen_files": ["url"],
    "steps": ["code.repository"],
    "transforms": ["code.repository", "cause.files", "details.logs", "details.notebook"],
}
WHERE = {collection: {"$or": [{path: CANDIDATE} for path in paths]} for collection, paths in PATHS.items()}
FIELDS = {collection: sorted({path.partition(".")[0] for path in paths}) for collection, paths in PATHS.items()}


def without_url_secrets(value: Any) -> Any:
    """The value without the secrets in its URLs, also in those of nested values."""
    if isinstance(value, dict):
        return {name: without_url_secrets(nested) for name, nested in value.items()}
    if isinstance(value, list):
        return [without_url_secrets(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


async def _change(work: Work, collection: str, row: Row, session: AsyncClientSession) -> Sequence[Write]:
    if collection == "seen_files":
        return writes_that_move(row, without_secrets(row["url"]))
    changes = {name: without_url_secrets(row[name]) for name in FIELDS[collection] if name in row}
    if key := row.get("naturalKey"):
        changes["naturalKey"] = json.dumps(without_url_secrets(json.loads(key)), ensure_ascii=False)
    changes = {name: value for name, value in changes.items() if value != row[name]}
    for unique, fallback in (("repoLink", f"{changes.get('repoLink')}#{row['_id']}"), ("naturalKey", None)):
        if unique in changes and await _is_taken(work, collection, row, unique, changes[unique], session):
            changes[unique] = fallback
    if changes:
        # Written here, so that the next rows of the batch see that the value is taken.
        await work.database[collection].update_one({"_id": row["_id"]}, {"$set": changes}, session=session)
    return []


async def _is_taken(
    work: Work, collection: str, row: Row, unique: str, value: str, session: AsyncClientSession
) -> bool:
    """Whether another row has a value that must be unique, within its organisation where it belongs to one."""
    other = {unique: value, "organisationRef": row.get("organisationRef"), "_id": {"$ne": row["_id"]}}
    return await work.database[collection].find_one(other, {"_id": 1}, session=session) is not None


async def _count(database: Database) -> int:
    return sum([await database[collection].count_documents(where) for collection, where in WHERE.items()])


async def _run(work: Work) -> None:
    for collection, where in WHERE.items():
        await work.rewrite(collection, where, partial(_change, work, collection))


STEP = Step(4, "Remove users, passwords, signatures and tokens from URLs.", _count, _run)
