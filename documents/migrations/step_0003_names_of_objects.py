"""Step 3: objects in buckets are written with their names as they are, not percent-encoded.

Version 2 wrote `gs://bucket/a%20b%231.csv`, cut a directory's name at a `#`, distinguished `s3a://` from `s3://`, left
out the container in `abfss://container@account/`, and did not understand `selfLink` and `mediaLink`. Files whose
container was not kept are seen as new once more, since it cannot be recovered.

Servers of that version that still run go on as before. Both write names that need no encoding alike; other files that
old servers report while this runs are seen as new once more.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from documents.migrations.moved_files import moved_file
from documents.migrations.step import Database, Step, Work, Write

Row = dict[str, Any]

OF_API = re.compile(
    r"(?:gs://(?:download/)?|https://www\.googleapis\.com/(?:download/)?)storage/v1/b/([^/?]+)(?:/o(?:/([^?]*))?)?(?:\?.*)?"
)
"""Links of Google's API, as version 2 wrote them."""
OBJECT = re.compile("(gs|s3[an]?)://", re.IGNORECASE)
CONTAINER = re.compile("((?:abfss?|wasbs?)://)([^/@:]+)(?::[^/@]*)?@", re.IGNORECASE)
ENCODED = {"$regex": "^(gs|s3)://[^/]*/.*%|^s3[an]://|/storage/v1/b/"}
SEEN = {"url": ENCODED, "respelled": {"$exists": False}}
MARKED = {"respelled": True}
BY_NAME = {"$regex": "#|^(abfs|wasb)s?://.*@", "$options": "i"}
WATCHED = {"$or": [{"code_repo.monitor_dirs.prefix": ENCODED}, {"code_repo.monitor_dirs.url": BY_NAME}]}
CAUSED = {"cause.files": ENCODED}
ASKED: dict[str, Row] = {"resources": WATCHED, "transforms": CAUSED, "seen_files": SEEN}


def respelled(url: str) -> str:
    """A file's URL as version 3 writes it, given the URL that version 2 wrote."""
    if found := OF_API.fullmatch(url):
        return f"gs://{found[1]}/{unquote(found[2] or '')}"
    if not OBJECT.match(url):
        return url
    scheme, _, rest = url.partition("://")
    bucket, slash, name = rest.partition("/")
    return f"{scheme.lower()[:2]}://{bucket}{slash}{unquote(name)}"


def _watched(directory: Row) -> Row:
    """A watched directory with its whole name."""
    given: str = directory["url"]
    if OBJECT.match(given) and "#" in given:
        scheme, _, rest = given.partition("://")
        bucket, slash, name = rest.partition("/")
        prefix = respelled(f"{scheme}://{bucket.rpartition('@')[2].lower()}{slash}{name}")
    elif found := CONTAINER.match(given):
        prefix = directory["prefix"].replace("://", f"://{found[2].lower()}@", 1)
    else:
        prefix = respelled(directory["prefix"])
    prefix = f"{prefix.rstrip('/')}/" if prefix != directory["prefix"] else prefix
    # Clients send again the URL that they read, so it has to mean the same directory.
    url = prefix if "%" in given and OBJECT.match(given) else given
    return directory | {"url": url, "prefix": prefix}


async def _resource(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    directories = [_watched(one) for one in row["code_repo"]["monitor_dirs"]]
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"code_repo.monitor_dirs": directories}})]


async def _transform(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    files = [respelled(url) for url in row["cause"]["files"]]
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"cause.files": files}})]


async def _seen(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    return moved_file(row, respelled(row["url"]), **MARKED)


async def _unmarked(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    return [UpdateOne({"_id": row["_id"]}, {"$unset": {"respelled": ""}})]


async def _count(database: Database) -> int:
    return sum([await database[collection].count_documents(where) for collection, where in ASKED.items()])


async def _run(work: Work) -> None:
    await work.rewrite("resources", WATCHED, _resource)
    await work.rewrite("transforms", CAUSED, _transform)
    # A decoded name may look like an encoded one, so rows are marked until all of them are done.
    if "marks" not in work.position:
        await work.rewrite("seen_files", SEEN, _seen)
    await work.rewrite("seen_files", MARKED, _unmarked, part="marks")


STEP = Step(3, "Store the names of objects in buckets without percent-encoding.", _count, _run)
