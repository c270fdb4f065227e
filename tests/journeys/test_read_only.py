"""Read-only mode: a server that may not write to its database answers all queries, and refuses the rest by name."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from pymongo import MongoClient

from documents.base import now
from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import record_newest_version
from documents.mongo.database import Database as AsyncDatabase
from graph.schema import schema
from tests.journeys.access_queries import every_question
from tests.journeys.access_world import a_world
from tests.support.follower import EXECUTION, follower
from tests.support.galaxies import Galaxy, a_report
from tests.support.issuer import AUDIENCE, LocalIssuer
from tests.support.patience import until, within
from tests.support.running import (
    COMMAND,
    FAULTY_SERVER,
    ROOT,
    Running,
    command,
    environment,
    on_database,
    running,
)
from tests.support.working import Lab, a_token

MESSAGE = "The server is in read-only mode: it answers queries, and writes nothing. Try again later."
ERROR = {"message": MESSAGE, "extensions": {"code": "READ_ONLY"}}
UPLOAD = """mutation($input:CreateUploadInput!){createUpload(input:$input){
  upload{id target{url headers}} userErrors{code message}}}"""
SOON = {"graph.server.assemble.SWEEP_INTERVAL": 0.05}
"""The time between two sweeps of a server that would sweep."""

QUERIES = [
    path.read_text()
    for path in sorted((ROOT / "graph/graphiql/queries").glob("*.graphql"))
    if not path.with_suffix(".json").exists()
]
"""The queries of GraphiQL's tabs that take no variables."""

Database = Any


def in_read_only_mode(mongod: EmbeddedMongo, name: str) -> dict[str, str]:
    """Variables of a server in read-only mode, on a new user of the database who may only read."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.admin.command("createUser", name, pwd="reads", roles=[{"role": "read", "db": name}])
    address = urlsplit(mongod.uri)
    reads = address._replace(netloc=f"{name}:reads@{address.netloc.rpartition('@')[2]}", path="/admin").geturl()
    return on_database(reads, name) | {"PROVENANCE_READ_ONLY": "true"}


class Deployment:
    """A database with the things that a server would change by itself, and its bucket."""

    def __init__(self, mongod: EmbeddedMongo, directory: Path) -> None:
        self.directory = directory
        self.name = f"read_only_{uuid4().hex}"
        self.client = MongoClient[dict[str, Any]](mongod.uri)
        self.database: Database = self.client[self.name]
        self.env = on_database(mongod.uri, self.name)
        self.read_only_env = in_read_only_mode(mongod, self.name)
        with self.serving() as server:
            self.token = a_token(environment(directory, self.env))
            self.lab = Lab(server, self.token, directory)
            self.execution = self.lab.an_execution({"key": "a"}, {"key": "b"})
            self.galaxy = Galaxy.new(server)
            announced = {"purpose": "OUTPUT", "fileName": "a.csv", "mediaType": "text/csv", "sizeBytes": "3"}
            upload = server.ask(UPLOAD, {"input": announced | {"sha256": "0" * 64}})["createUpload"]["upload"]
            self.target = upload["target"]
        past = now() - timedelta(days=1)
        lapsed = {"status": "RUNNING", "worker": "silent", "claimed_by": "token_1", "leaseExpiresAt": past}
        self.database.steps.update_one({"executionRef": self.execution, "key": "b"}, {"$set": lapsed})
        self.database.uploads.update_one({"_id": upload["id"]}, {"$set": {"expires_at": past}})

    @contextmanager
    def serving(self, **env: str) -> Iterator[Running]:
        """A server that may write, unless the variables say otherwise."""
        with running(*FAULTY_SERVER, env=self.env | env, directory=self.directory) as server:
            yield server

    @contextmanager
    def read_only(self, **env: str) -> Iterator[Running]:
        """A server in read-only mode, on a user of the database that may only read."""
        with self.serving(**self.read_only_env, ALTERED_CONSTANTS=json.dumps(SOON), **env) as server:
            yield server

    def lab_at(self, server: Running) -> Lab:
        """The lab, whose server is another one now."""
        self.lab.server = server
        return self.lab

    def hash(self) -> str:
        """A hash of all collections."""
        return str(self.database.command("dbHash")["md5"])

    def files(self) -> set[Path]:
        return set((self.directory / "data/bucket").rglob("*"))


@pytest.fixture
def deployment(mongod: EmbeddedMongo, tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(mongod, tmp_path)
    yield deployment
    deployment.client.admin.command("dropUser", deployment.name)
    deployment.client.drop_database(deployment.name)
    deployment.client.close()


def mutations() -> dict[str, str]:
    """A call of each mutation, whose input does not matter."""
    root = schema._schema.mutation_type
    assert root is not None
    return {
        name: f"mutation($input:{field.args['input'].type}){{{name}(input:$input){{userErrors{{code}}}}}}"
        for name, field in root.fields.items()
    }


def test_queries_are_answered_and_every_write_is_refused_and_nothing_is_written(deployment: Deployment) -> None:
    before, files = deployment.hash(), deployment.files()
    with deployment.read_only() as server:
        worker = server.post("{viewer{role}}", authorization=f"Bearer {deployment.token}")
        execution = deployment.lab_at(server).execution(deployment.execution)
        answers = [server.post(query, authorization=f"Bearer {server.token}") for query in QUERIES]
        refused = {
            name: server.post(query, {"input": {}}, authorization=f"Bearer {server.token}")
            for name, query in mutations().items()
        }
        galaxy = Galaxy(server, deployment.galaxy.id, deployment.galaxy.uuid, deployment.galaxy.key)
        whoami, report = galaxy.whoami(), galaxy.upload(a_report())
        target = server.url + urlsplit(deployment.target["url"])._replace(scheme="", netloc="").geturl()
        stored = server.client.put(target, content=b"abc", headers=deployment.target["headers"])
        spoofed = server.client.put(f"{server.url}/objects/outputs/graphql", content=b"abc")
        event = server.client.post(f"{server.url}/events/storage", json={})
        health = [server.get(path).status_code for path in ("/livez", "/readyz", "/metrics")]
        log = server.log

    assert worker.json() == {"data": {"viewer": {"role": "WORKER"}}}
    assert {key: step["status"] for key, step in execution["by_key"].items()} == {"a": "READY", "b": "RUNNING"}
    assert [list(answer.json()) for answer in answers] == [["data"]] * len(QUERIES)
    assert refused.keys() == mutations().keys()
    assert [answer.json() for answer in refused.values()] == [{"errors": [ERROR]}] * len(refused)
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused.values()} == {(503, "5")}
    assert (whoami.status_code, whoami.json()["uploaded_reports"]) == (200, [])
    for answer in (report, stored, spoofed, event):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json() == {"errors": [ERROR], "state": "error", "message": MESSAGE}
    assert health == [200, 200, 200]
    assert "failed" not in log
    assert "not authorized" not in log
    assert (deployment.hash(), deployment.files()) == (before, files)


async def test_every_question_that_the_schema_has_is_answered_without_a_write(
    database: AsyncDatabase, mongod: EmbeddedMongo
) -> None:
    await record_newest_version(database)
    world = a_world()
    await world.begin()
    before = (await database.command("dbHash"))["md5"]
    env = in_read_only_mode(mongod, database.name) | {"ALTERED_CONSTANTS": json.dumps(SOON)}
    questions = list(every_question(world))

    def ask_all() -> tuple[list[dict[str, Any]], str]:
        with running(*FAULTY_SERVER, env=env) as server:
            ask = partial(server.post, authorization=f"Bearer {server.token}")
            return [ask(question).json() for question in questions], server.log

    answers, log = await asyncio.to_thread(ask_all)
    await database.client.admin.command("dropUser", database.name)

    assert len(answers) > 100
    assert [answer["errors"] for answer in answers if "errors" in answer] == []
    assert "failed" not in log
    assert (await database.command("dbHash"))["md5"] == before


async def test_subscriptions_go_on_and_their_socket_stays_open_when_a_mutation_is_refused(
    deployment: Deployment,
) -> None:
    create = 'mutation{createUser(input:{displayName:"ada",email:"ada@people.example"}){userErrors{code}}}'
    running_step = {"$set": {"status": "RUNNING"}}
    with deployment.read_only() as server:
        async with follower(server) as client:
            await client.follow(EXECUTION, id=deployment.execution)
            first = await client.next()
            await client.follow(create, operation="2")
            refused = await client.message()
            steps = deployment.database.steps
            await asyncio.to_thread(steps.update_one, {"executionRef": deployment.execution, "key": "a"}, running_step)
            second = await client.next()

    assert [step["status"] for step in first["steps"]["nodes"]] == ["READY", "RUNNING"]
    assert refused == {"id": "2", "type": "error", "payload": [ERROR]}
    assert [step["status"] for step in second["steps"]["nodes"]] == ["RUNNING", "RUNNING"]
    assert deployment.database.users.count_documents({"displayName": "ada"}) == 0


def test_a_worker_waits_and_runs_the_step_once_the_server_writes_again(deployment: Deployment) -> None:
    port = {}
    with deployment.read_only() as server:
        port["PORT"] = str(urlsplit(server.url).port)
        worker = deployment.lab_at(server).start("true", "--poll", "0.1", "--once")
        try:
            until(lambda: 'refusals_total{code="READ_ONLY"}' in server.get("/metrics").text)
            assert worker.process.poll() is None
            server.stop()
            server.process.wait()
            with deployment.serving(**port) as writing:
                code = worker.process.wait(within(60))
                statuses = deployment.lab_at(writing).statuses(deployment.execution)
        finally:
            worker.process.kill()

    assert code == 0
    assert "SUCCEEDED" in statuses.values()


def test_a_command_whose_lease_ends_in_read_only_mode_is_stopped_and_run_again_afterwards(
    deployment: Deployment, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    script = f"echo $PROVENANCE_ATTEMPT >> {began}; [ $PROVENANCE_ATTEMPT = 2 ] || sleep 1000"
    deployment.database.steps.update_one({"key": "b"}, {"$set": {"status": "SUCCEEDED"}})
    with deployment.serving() as server:
        port = {"PORT": str(urlsplit(server.url).port)}
        worker = deployment.lab_at(server).start(script, "--poll", "0.1", "--lease", "2")
        until(began.exists)
    try:
        with deployment.read_only(**port):
            until(lambda: "The lease could not be renewed for 2 s." in worker.output)
        with deployment.serving(**port) as server:
            lab = deployment.lab_at(server)
            until(lambda: lab.statuses(deployment.execution)["a"] == "SUCCEEDED")
    finally:
        worker.process.kill()

    assert began.read_text().split() == ["1", "2"]


def test_people_who_were_here_before_can_sign_in_and_others_are_asked_to_come_later(
    deployment: Deployment, issuer: LocalIssuer
) -> None:
    env = {"PROVENANCE_OIDC_ISSUER": issuer.url, "PROVENANCE_OIDC_AUDIENCE": AUDIENCE}
    deployment.database.users.insert_one(
        {"_id": "user_known", "displayName": "known", "oidcSubject": "known", "revision": 1, "created_at": now()}
    )
    before = deployment.hash()
    with deployment.read_only(**env) as server:
        known = server.post("{viewer{user{id}}}", authorization=f"Bearer {issuer.token(sub='known')}")
        new = server.post("{viewer{user{id}}}", authorization=f"Bearer {issuer.token(sub='new')}")

    assert known.json() == {"data": {"viewer": {"user": {"id": "user_known"}}}}
    assert new.status_code == 503
    assert new.json()["errors"][0]["message"].startswith("The server is in read-only mode, and nobody can sign in")
    assert deployment.hash() == before


def test_commands_that_write_say_why_they_do_not_and_those_that_read_go_on(
    deployment: Deployment, tmp_path: Path
) -> None:
    env = environment(tmp_path, deployment.read_only_env)
    before = deployment.hash()

    created = command("token", "create", "late", "--role", "worker", env=env)
    demo = command("demo", env=env)
    listed = command("token", "list", env=env)
    ingested = command("work", "--ingest", "--once", env=env)
    adopted = command("verify", "--adopt", env=env)
    verified = command("verify", env=env)

    assert (created.returncode, adopted.returncode, demo.returncode) == (1, 1, 1)
    for refused in (created, adopted):
        assert "PROVENANCE_READ_ONLY is true, and this command writes to the database." in refused.stderr
    assert "does not run with PROVENANCE_READ_ONLY=true" in demo.stderr
    assert (listed.returncode, ingested.returncode, verified.returncode) == (0, 0, 0)
    assert "WORKER  workers" in listed.stdout
    assert "read-only mode: reports wait" in ingested.stdout + ingested.stderr
    assert deployment.hash() == before


def test_an_ingest_worker_waits_until_it_is_told_to_stop(deployment: Deployment) -> None:
    with running(*COMMAND, "work", "--ingest", env=deployment.read_only_env, wait=False) as worker:
        until(lambda: "read-only mode: reports wait" in worker.log)
        waiting = worker.process.poll()
        worker.stop()
        code = worker.process.wait(within(60))

    assert (waiting, code) == (None, 0)


def test_a_database_that_is_not_migrated_is_left_as_it_is(mongod: EmbeddedMongo) -> None:
    name = f"read_only_{uuid4().hex}"
    env = on_database(mongod.uri, name) | {"PROVENANCE_READ_ONLY": "true"}

    with running(*COMMAND, "serve", env=env) as server:
        answer = server.post("{viewer{role}}")
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        collections = client[name].list_collection_names()

    assert answer.status_code == 503
    assert answer.json()["errors"][0]["message"].startswith("The database is empty and has no indexes")
    assert collections == []
