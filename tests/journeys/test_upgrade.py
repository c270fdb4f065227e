"""An upgrade without a pause: two releases on one database while it is migrated, and the way back that is refused."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import STEPS, Step, Work, migrate
from documents.migrations.schema_version import COLLECTION, ID
from documents.migrations.step_list import newest_version
from documents.mongo.database import Client
from tests.support.patience import until
from tests.support.running import COMMAND, Running, command, environment, in_production, running

CREATE = """mutation($input:CreateOrganisationInput!){createOrganisation(input:$input){
  organisation{id} userErrors{code}}}"""
READ = "query($id:ID!){node(id:$id){... on Organisation{name}}}"
NOTHING = {"id": "organisation_none"}
NEWEST = newest_version(STEPS)
DOCUMENTS = 300
"""More than a few batches of the last step."""


@pytest.fixture
def production(mongod: EmbeddedMongo) -> Iterator[dict[str, str]]:
    """Variables of a server in production, on a database of its own."""
    name = f"upgrade_{uuid4().hex}"
    yield in_production(mongod.uri, name)
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.drop_database(name)


@contextmanager
def serving(env: dict[str, str], *, wait: bool = True) -> Iterator[Running]:
    with running(*COMMAND, "serve", env=env, wait=wait) as server:
        yield server


def make_older(mongod: EmbeddedMongo, name: str) -> None:
    """Let a database be as the release before stored it: one version older, its documents without names."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        database = client[name]
        database.dataset_versions.insert_one(
            {"_id": "version_1", "datasetRef": "dataset_1", "label": "v1", "ordinal": 1}
        )
        database.datasets.insert_one({"_id": "dataset_1", "resourceRef": "resource_1", "identifier": "births"})
        database.distributions.insert_many(
            {"_id": f"distribution_{n}", "parent_dataset": "dataset_1", "versionRef": "version_1", "csvw": "{}"}
            for n in range(DOCUMENTS)
        )
        database[COLLECTION].update_one({"_id": ID}, {"$set": {"version": NEWEST - 1}})


class Traffic:
    """A client that writes and reads without a pause, and counts how that ends."""

    def __init__(self, server: Running) -> None:
        self.outcomes: Counter[str] = Counter()
        self.ids: list[str] = []
        self._server = server
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            number = len(self.ids)
            sent = {"input": {"name": f"organisation {number}", "url": f"https://{number}.example"}}
            answer = self._server.post(CREATE, sent, authorization=f"Bearer {self._server.token}").json()
            self.outcomes[_outcome(answer)] += 1
            self.ids.append(answer["data"]["createOrganisation"]["organisation"]["id"])
            self.outcomes[_outcome(self._server.post(READ, {"id": self.ids[-1]}).json())] += 1


def _outcome(answer: dict[str, Any]) -> str:
    refused = answer.get("errors") or (answer["data"].get("createOrganisation") or {}).get("userErrors")
    return str(refused) if refused else "answered"


def test_the_old_release_serves_while_the_database_is_migrated_and_beside_the_new_one(
    production: dict[str, str], mongod: EmbeddedMongo, tmp_path: Path
) -> None:
    name = production["PROVENANCE_DATABASE_NAME"]
    with serving(production) as old:
        make_older(mongod, name)
        with serving(production) as new, Traffic(old) as traffic:
            refused = new.post(READ, NOTHING)
            migrated = command("migrate", env=environment(tmp_path, production))
            until(lambda: new.get("/readyz").status_code == 200)
            first, last = traffic.ids[0], traffic.ids[-1]
            until(lambda: traffic.ids[-1] != last)
            seen = [new.ask(READ, {"id": id})["node"] for id in (first, last)]
            own = new.ask(CREATE, {"input": {"name": "of the new release", "url": "https://new.example"}})
            payload = own["createOrganisation"]
            seen_by_old = old.ask(READ, {"id": payload["organisation"]["id"]})["node"]
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        labels = client[name].distributions.distinct("versionLabel")

    assert refused.status_code == 503
    assert refused.json()["errors"][0]["message"].startswith(
        f"The database is at schema version {NEWEST - 1}, this server needs {NEWEST}"
    )
    assert migrated.returncode == 0, migrated.stderr
    assert traffic.outcomes.keys() == {"answered"}
    assert seen == [{"name": f"organisation {traffic.ids.index(id)}"} for id in (first, last)]
    assert seen_by_old == {"name": "of the new release"}
    assert labels == ["v1"]


async def test_an_older_release_goes_on_after_the_migration_but_is_not_started_again_nor_its_commands(
    production: dict[str, str], client: Client, tmp_path: Path
) -> None:
    name = production["PROVENANCE_DATABASE_NAME"]

    async def count(database: Any) -> int:
        return 0

    async def run(work: Work) -> None:
        return

    newer = Step(NEWEST + 1, "Do what the next release does.", count, run)
    with serving(production) as old:
        await migrate(client[name], steps=(*STEPS, newer))
        written = old.ask(CREATE, {"input": {"name": "late", "url": "https://late.example"}})
        with serving(production) as again:
            refused, ready = again.post(READ, NOTHING), again.get("/readyz")
        commands = [
            command(*words, env=environment(tmp_path, production)) for words in (("token", "list"), ("migrate",))
        ]

    reason = (
        f"The database is at schema version {NEWEST + 1}, which a newer release made; this release knows {NEWEST}. "
        "Use that release, or restore the backup that was made before it."
    )
    assert written["createOrganisation"]["userErrors"] == []
    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (503, reason)
    assert (ready.status_code, ready.json()) == (503, {"status": reason})
    assert [(done.returncode, done.stderr.splitlines()[-1]) for done in commands] == [(1, reason)] * 2
