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

from documents.migrations.moved_files import writes_that_move
from documents.migrations.step import Database, Step, Work, Write

Row = dict[str, Any]

API_LINK = re.compile(
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
AFFECTED: dict[str, Row] = {"resources": WATCHED, "transforms": CAUSED, "seen_files": SEEN}


def decoded_url(url: str) -> str:
    """A file's URL as version 3 writes it, given the URL that version 2 wrote."""
    if link := API_LINK.fullmatch(url):
        return f"gs://{link[1]}/{unquote(link[2] or '')}"
    if not OBJECT.match(url):
        return url
    scheme, _, rest = url.partition("://")
    bucket, slash, name = rest.partition("/")
    return f"{scheme.lower()[:2]}://{bucket}{slash}{unquote(name)}"


def _decode_directory(directory: Row) -> Row:
    """A watched directory with its complete name, decoded."""
    original: str = directory["url"]
    if OBJECT.match(original) and "#" in original:
        scheme, _, rest = original.partition("://")
        bucket, slash, name = rest.partition("/")
        prefix = decoded_url(f"{scheme}://{bucket.rpartition('@')[2].lower()}{slash}{name}")
    elif container := CONTAINER.match(original):
        prefix = directory["prefix"].replace("://", f"://{container[2].lower()}@", 1)
    else:
        prefix = decoded_url(directory["prefix"])
    prefix = f"{prefix.rstrip('/')}/" if prefix != directory["prefix"] else prefix
    # Clients send the URL that they read back to the server, so it has to mean the same directory.
    url = prefix if "%" in original and OBJECT.match(original) else original
    return directory | {"url": url, "prefix": prefix}


async def _change_resource(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    directories = [_decode_directory(directory) for directory in row["code_repo"]["monitor_dirs"]]
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"code_repo.monitor_dirs": directories}})]


async def _change_transform(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    files = [decoded_url(url) for url in row["cause"]["files"]]
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"cause.files": files}})]


async def _move_seen_file(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    return writes_that_move(row, decoded_url(row["url"]), **MARKED)


async def _unmark(row: Row, session: AsyncClientSession) -> Sequence[Write]:
    return [UpdateOne({"_id": row["_id"]}, {"$unset": {"respelled": ""}})]


async def _count(database: Database) -> int:
    return sum([await database[collection].count_documents(where) for collection, where in AFFECTED.items()])


async def _run(work: Work) -> None:
    await work.rewrite("resources", WATCHED, _change_resource)
    await work.rewrite("transforms", CAUSED, _change_transform)
    # A decoded name may look like an encoded one, so rows are marked until all of them are done.
    if "marks" not in work.position:
        await work.rewrite("seen_files", SEEN, _move_seen_file)
    await work.rewrite("seen_files", MARKED, _unmark, part="marks")


STEP = Step(3, "Store the names of objects in buckets without percent-encoding.", _count, _run)
