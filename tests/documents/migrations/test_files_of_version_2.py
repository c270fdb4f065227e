"""Files and directories as version 2 wrote them are found again by the names of objects, and without secrets."""

import hashlib
from datetime import datetime
from typing import Any

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.file_events.seen_file import seen_file_id
from documents.migrations import migrate
from documents.mongo.database import Database
from documents.storage.file_url import directory_url, file_url
from tests.documents.migrations.killing import killed_after

FIRST, LATER = datetime(2026, 1, 1), datetime(2026, 1, 2)
FILES = {
    "gs://bucket/in/a.csv": "gs://bucket/in/a.csv",
    "gs://bucket/in/gr%C3%B6%C3%9Fe%20%231%3F.csv": "gs://bucket/in/größe #1?.csv",
    "gs://bucket/in/a%2520b%252520.csv": "gs://bucket/in/a%20b%2520.csv",
    "gs://download/storage/v1/b/bucket/o/in/b%20c.csv": "gs://bucket/in/b c.csv",
    "gs://storage/v1/b/bucket/o/in/d.csv": "gs://bucket/in/d.csv",
    "https://www.googleapis.com/storage/v1/b/bucket/o/in%2Fe%20f.csv?alt=media": "gs://bucket/in/e f.csv",
    "s3://bucket/in/gr%C3%B6%C3%9Fe%20%231.csv": "s3://bucket/in/größe #1.csv",
    "s3a://bucket/in/a%2520b.csv": "s3://bucket/in/a%20b.csv",
    "s3n://bucket/in/c.csv": "s3://bucket/in/c.csv",
    "https://files.example/a%20b.csv?v=1": "https://files.example/a%20b.csv?v=1",
    "https://files.example/s.csv?v=1&X-Amz-Signature=0a": "https://files.example/s.csv?v=1",
}
"""URLs of files as version 2 stored them, and as this release stores them."""
DIRECTORIES = {
    ("gs://bucket/in", "gs://bucket/in/"): ("gs://bucket/in", "gs://bucket/in/"),
    ("gs://bucket/my%20files/", "gs://bucket/my%20files/"): ("gs://bucket/my files/", "gs://bucket/my files/"),
    ("gs://bucket/größe", "gs://bucket/gr%C3%B6%C3%9Fe/"): ("gs://bucket/größe", "gs://bucket/größe/"),
    ("GS://Bucket/c#/", "gs://bucket/c/"): ("GS://Bucket/c#/", "gs://bucket/c#/"),
    ("s3://bucket/größe", "s3://bucket/gr%C3%B6%C3%9Fe/"): ("s3://bucket/größe", "s3://bucket/größe/"),
    ("s3://bucket/my%20files/", "s3://bucket/my%20files/"): ("s3://bucket/my files/", "s3://bucket/my files/"),
    ("S3A://Bucket/in", "s3a://bucket/in/"): ("S3A://Bucket/in", "s3://bucket/in/"),
    ("s3n://bucket/d#1/", "s3n://bucket/d/"): ("s3n://bucket/d#1/", "s3://bucket/d#1/"),
    ("abfss://Raw@Account.example/in", "abfss://account.example/in/"): (
        "abfss://Raw@Account.example/in", "abfss://raw@account.example/in/",
    ),
    ("https://me:pw@files.example/in?token=t", "https://files.example/in/?token=t"): (
        "https://files.example/in", "https://files.example/in/",
    ),
}  # fmt: skip


def a_seen_file(url: str, at: datetime = FIRST) -> dict[str, Any]:
    """A file as version 2 kept it."""
    id = f"file_{hashlib.sha256(url.encode()).hexdigest()}"
    return {"_id": id, "url": url, "generation": "5", "updated_at": FIRST, "file_size": None, "seen_at": at}


def a_resource(number: int, **fields: Any) -> dict[str, Any]:
    """A resource as version 2 kept it, in part."""
    return {"_id": f"resource_{number}", "organisationRef": "organisation_1", "naturalKey": None, **fields}


def a_directory(url: str, prefix: str) -> dict[str, Any]:
    return {"url": url, "prefix": prefix, "watchedSince": FIRST, "lastSeenAt": LATER, "pendingFiles": 3}


async def store(database: Database) -> None:
    """Make a database with files as version 2 left it."""
    await database.seen_files.insert_many(map(a_seen_file, FILES))
    watched = [a_directory(url, prefix) for url, prefix in DIRECTORIES]
    await database.resources.insert_one(a_resource(1, code_repo={"url": None, "source": [], "monitor_dirs": watched}))
    cause = {"kind": "FILES_CHANGED", "files": [*FILES], "fileCount": len(FILES), "message": "New."}
    await database.transforms.insert_one({"_id": "transform_1", "cause": cause, "code": [], "details": {}})


async def assert_found_again(database: Database) -> None:
    """Every file and directory is kept as this release writes it, and everything else as it was."""
    files = await database.seen_files.find().to_list()
    expected = [a_seen_file(old) | {"_id": seen_file_id(new), "url": new} for old, new in FILES.items()]
    assert sorted(files, key=str) == sorted(expected, key=str)
    (resource,) = await database.resources.find().to_list()
    assert resource["code_repo"]["monitor_dirs"] == [a_directory(*new) for new in DIRECTORIES.values()]
    (transform,) = await database.transforms.find().to_list()
    assert transform["cause"]["files"] == [*FILES.values()]


async def test_files_and_directories_are_found_by_the_names_of_objects(old: Database) -> None:
    await store(old)

    await migrate(old)
    await assert_found_again(old)
    await migrate(old)

    await assert_found_again(old)
    assert {file_url(url): url for url in FILES.values()} == {url: url for url in FILES.values()}
    assert all(directory_url(url) == prefix for url, prefix in DIRECTORIES.values())


@pytest.mark.parametrize("batches", range(1, 9))
async def test_killed_in_the_middle_it_goes_on(old: Database, mongod: EmbeddedMongo, batches: int) -> None:
    await store(old)
    async with killed_after(batches, mongod, old, released=True):
        pass

    await migrate(old)

    await assert_found_again(old)


@pytest.mark.parametrize(("encoded_at", "other_at", "kept"), [(FIRST, LATER, "other"), (LATER, FIRST, "encoded")])
async def test_of_two_spellings_of_a_file_the_one_seen_last_is_kept(
    old: Database, encoded_at: datetime, other_at: datetime, kept: str
) -> None:
    encoded = a_seen_file("gs://download/storage/v1/b/bucket/o/in/a.csv", encoded_at) | {"generation": "encoded"}
    await old.seen_files.insert_many([encoded, a_seen_file("gs://bucket/in/a.csv", other_at) | {"generation": "other"}])

    await migrate(old)

    (file,) = await old.seen_files.find().to_list()
    assert (file["url"], file["generation"]) == ("gs://bucket/in/a.csv", kept)


async def test_what_was_known_by_a_url_with_a_secret_is_found_by_the_one_without(old: Database) -> None:
    secret, open_ = "https://ci:SECRET@code.example/a", "https://code.example/a"
    key = f'["https://page.example", "{secret}", "directory", "in"]'
    other = secret.replace("SECRET", "OTHER_SECRET")
    other_key = key.replace(secret, other)
    taken = f'["https://page.example", "{open_}", "directory", "out"]'
    await old.resources.insert_many([
        a_resource(1, naturalKey=key, landing_page="https://page.example", code_repo={"url": secret}),
        a_resource(2, naturalKey=taken.replace(open_, secret), code_repo={"url": secret}),
        a_resource(3, naturalKey=taken, code_repo={"url": open_}),
        a_resource(4, naturalKey=other_key, code_repo={"url": other}),
    ])  # fmt: skip
    await old.components.insert_many([
        {"_id": "component_1", "repoLink": secret},
        {"_id": "component_2", "repoLink": "https://code.example/b?token=SECRET"},
        {"_id": "component_3", "repoLink": "https://code.example/b"},
        {"_id": "component_4", "repoLink": other},
    ])  # fmt: skip
    code = [{"repository": secret, "path": "main.py", "commit": "a1"}]
    await old.steps.insert_one({"_id": "step_1", "code": code})
    logs = "https://logs.example/1?sig=SECRET"
    await old.transforms.insert_one({"_id": "transform_1", "code": code, "details": {"logs": logs, "validated": True}})

    await migrate(old)

    resources = {row["_id"]: row async for row in old.resources.find()}
    assert [resources[f"resource_{n}"]["code_repo"] for n in (1, 2, 3, 4)] == [{"url": open_}] * 4
    assert resources["resource_1"]["naturalKey"] == key.replace(secret, open_)
    assert resources["resource_3"]["naturalKey"] == taken
    assert resources["resource_2"]["naturalKey"] is resources["resource_4"]["naturalKey"] is None
    assert [row["repoLink"] async for row in old.components.find(sort=[("_id", 1)])] == [
        open_, "https://code.example/b#component_2", "https://code.example/b", f"{open_}#component_4",
    ]  # fmt: skip
    (step,), (transform,) = await old.steps.find().to_list(), await old.transforms.find().to_list()
    assert step["code"] == transform["code"] == [code[0] | {"repository": open_}]
    assert transform["details"] == {"logs": "https://logs.example/1", "validated": True}
