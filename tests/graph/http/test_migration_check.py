"""In production a server answers nothing while its database is at another schema version, and says what to do."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import STEPS
from documents.migrations.indexes import declared_indexes
from documents.migrations.step_list import newest_version
from tests.support.patience import until
from tests.support.running import COMMAND, command, environment, on_database, running

CREATE_USER = 'mutation{createUser(input:{displayName:"ada",email:"ada@people.example"}){userErrors{code}}}'
EMPTY = "The database is empty and has no indexes: run `provenance-graph migrate`."
OTHERS = len(declared_indexes()) - 1
LACKING = f"The database lacks the index archives.one_current and {OTHERS} more: run `provenance-graph migrate`."
NEWER = (
    f"The database is at schema version 99, which a newer release made; this release knows {newest_version(STEPS)}. "
    "Use that release, or restore the backup that was made before it."
)
NONSENSE = (
    "The document 'schema' of schema_version holds no schema version: 'two'. "
    "Restore the backup that was made before it was changed."
)

Database = Any


@pytest.fixture
def production(mongod: EmbeddedMongo) -> Iterator[dict[str, str]]:
    """Variables of a server in production, on an empty database."""
    name = f"check_{uuid4().hex}"
    yield on_database(mongod.uri, name) | {"PROVENANCE_ENV": "production"}
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.drop_database(name)


@contextmanager
def database(env: dict[str, str]) -> Iterator[Database]:
    with MongoClient[dict[str, Any]](env["PROVENANCE_DATABASE_URL"]) as client:
        yield client[env["PROVENANCE_DATABASE_NAME"]]


def leave_empty(database: Database) -> None:
    pass


def store_without_indexes(database: Database) -> None:
    database.schema_version.insert_one({"_id": "schema", "version": newest_version(STEPS)})
    database.users.insert_one({"_id": "user_1", "displayName": "eve"})


def say_nonsense(database: Database) -> None:
    database.schema_version.insert_one({"_id": "schema", "version": "two"})


def be_newer(database: Database) -> None:
    database.schema_version.insert_one({"_id": "schema", "version": 99})


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [(leave_empty, EMPTY), (store_without_indexes, LACKING), (be_newer, NEWER), (say_nonsense, NONSENSE)],
)
def test_everything_is_refused_with_the_reason_but_what_watches_the_server_and_the_page_that_shows_it(
    production: dict[str, str], prepare: Any, reason: str
) -> None:
    with database(production) as rows:
        prepare(rows)
        before = sorted(rows.list_collection_names())
        with running(*COMMAND, "serve", env=production) as server:
            refused = [
                server.post(CREATE_USER, authorization=f"Bearer {server.token}"),
                server.get("/graphql", params={"query": "{viewer{role}}"}),
                server.post("query($id:ID!){node(id:$id){id}}", {"id": "user_1"}),
                server.client.put(f"{server.url}/objects/outputs/upload_1", content=b"bytes"),
                server.client.post(f"{server.url}/api/whoami"),
                server.client.post(f"{server.url}/api/v2/upload", content=b"bytes"),
                server.get("/"),
                server.get("/graphql", params={"query": "{viewer{role}}"}, headers={"accept": "text/html"}),
                server.client.post(server.url, headers={"accept": "text/html"}),
                server.get("/objects/outputs/upload_1", headers={"accept": "text/html"}),
            ]
            with pytest.raises(InvalidStatus) as socket:
                connect(server.url.replace("http", "ws") + "/graphql", subprotocols=["graphql-transport-ws"])  # type: ignore[list-item]
            ready, lives, metrics = (server.get(path) for path in ("/readyz", "/livez", "/metrics"))
            pages = [server.get(path, headers={"accept": "text/html"}) for path in ("/", "/graphql")]
            files = [server.get(path) for path in re.findall(r'(?:src|href)="([^"]+)"', pages[0].text)]
            log = server.log
        after = sorted(rows.list_collection_names())

    assert {answer.status_code for answer in refused} == {503}
    error = {"message": reason, "extensions": {"code": "UNAVAILABLE"}}
    assert [answer.json() for answer in refused] == [{"errors": [error]}] * len(refused)
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert socket.value.response.status_code == 503
    assert (ready.status_code, ready.json()) == (503, {"status": reason})
    assert (lives.status_code, metrics.status_code) == (200, 200)
    assert [page.headers["content-type"] for page in pages] == ["text/html; charset=utf-8"] * 2
    assert [file.status_code for file in files] == [200] * 13
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["reason"] for line in lines if line["message"] == "not ready"] == [reason]
    assert after == before


def test_of_twelve_users_of_one_name_none_is_made_before_the_indexes_are_and_one_after(
    production: dict[str, str], tmp_path: Path
) -> None:
    with database(production) as rows:
        store_without_indexes(rows)
        with running(*COMMAND, "serve", env=production) as server:

            def create(_: int) -> Any:
                return server.post(CREATE_USER, authorization=f"Bearer {server.token}").json()

            with ThreadPoolExecutor(12) as several:
                before = list(several.map(create, range(12)))
                made_before = rows.users.count_documents({"displayName": "ada"})
                migrated = command("migrate", env=environment(tmp_path, production))
                until(lambda: server.get("/readyz").status_code == 200)
                after = list(several.map(create, range(12)))
            made = rows.users.count_documents({"displayName": "ada"})

    assert {answer["errors"][0]["extensions"]["code"] for answer in before} == {"UNAVAILABLE"}
    assert (made_before, made) == (0, 1)
    assert migrated.returncode == 0
    assert sorted(len(answer["data"]["createUser"]["userErrors"]) for answer in after) == [0] + [1] * 11


@pytest.mark.parametrize(("prepare", "reason"), [(leave_empty, EMPTY), (be_newer, NEWER)])
@pytest.mark.parametrize("words", [("token", "list"), ("work", "--ingest", "--once")])
def test_in_production_other_commands_end_with_the_reason(
    production: dict[str, str], tmp_path: Path, prepare: Any, reason: str, words: tuple[str, ...]
) -> None:
    env = environment(tmp_path, production)
    if words[0] == "work":
        env |= {"PROVENANCE_BUCKET": "gs://nowhere", "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1"}
    with database(production) as rows:
        prepare(rows)

        done = command(*words, env=env)

    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, reason)


def test_a_development_server_does_not_start_on_the_database_of_a_newer_release(
    production: dict[str, str], tmp_path: Path
) -> None:
    with database(production) as rows:
        be_newer(rows)

        done = command("serve", env=environment(tmp_path, production | {"PROVENANCE_ENV": "development"}))
        left = rows.list_collection_names()

    assert (done.returncode, done.stderr) == (1, NEWER + "\n")
    assert left == ["schema_version"]


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(production: dict[str, str], tmp_path: Path) -> None:
    env = environment(tmp_path, production)
    with database(production) as rows:
        rows.users.insert_one({"_id": "user_1", "displayName": "eve"})

        told = command("migrate", "--dry-run", env=env)
        left = rows.list_collection_names()
        migrated = command("migrate", env=env)
        again = command("migrate", "--dry-run", env=env)

    name = production["PROVENANCE_DATABASE_NAME"]
    lines = told.stderr.splitlines()
    assert lines[0] == f"Database {name} is at schema version 1; this release needs {newest_version(STEPS)}."
    assert [line for line in lines if line.startswith("  step ")] == [
        f"  step {step.version}: {step.description} (0 documents)" for step in STEPS
    ]
    assert {f"  make index {index}" for index in declared_indexes()} < set(lines)
    assert lines[-1] == "Nothing was changed."
    assert left == ["users"]
    assert migrated.stderr.splitlines()[-1] == (
        f"Database {name} is at schema version {newest_version(STEPS)} and has all its indexes."
    )
    assert again.stderr.splitlines() == [
        f"Database {name} is at schema version {newest_version(STEPS)}; this release needs {newest_version(STEPS)}.",
        "There is nothing to do.",
    ]
