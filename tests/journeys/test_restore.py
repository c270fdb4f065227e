"""A server is backed up while it works, database first, restored into an empty place, verified, and asked again."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest
from pymongo import MongoClient

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.galaxies import Galaxy, a_report
from tests.support.running import COMMAND, PLAIN, Running, command, environment, on_database, running
from tests.support.storage import Gate
from tests.support.working import WORK, Lab, a_token

OUTPUTS = """query($id:ID!){node(id:$id){... on Execution{steps{nodes{key outputs{nodes{
  id fileName downloadUrl{url headers}}}}}}}}"""
WRITE = 'echo "made by $PROVENANCE_STEP_KEY" > "$PROVENANCE_OUTPUT_DIR/made.txt"'


class Place:
    """A database and a bucket, empty at first, for a server; `kind` is that of the bucket."""

    def __init__(self, mongod: EmbeddedMongo, directory: Path, kind: str, gate: Gate | None) -> None:
        self.directory, self.kind, self.gate = directory, kind, gate
        directory.mkdir()
        name = f"restore_{uuid4().hex}"
        self.client = MongoClient[dict[str, Any]](mongod.uri)
        self.database = self.client[name]
        self.bucket = f"bucket-{uuid4().hex}"
        self.env = environment(directory, on_database(mongod.uri, name) | {"PROVENANCE_WORKERS": "0"})
        if gate:
            gate.client.post(f"{gate.emulator}/storage/v1/b", json={"name": self.bucket}).raise_for_status()
            self.env |= {"PROVENANCE_BUCKET": f"gs://{self.bucket}/files", "STORAGE_EMULATOR_HOST": gate.emulator}

    @contextmanager
    def serving(self) -> Iterator[Running]:
        with running(*COMMAND, "serve", env=self.env, directory=self.directory) as server:
            yield server

    def verify(self, *options: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
        """The exit code, the findings and the summary of `verify`."""
        done = command("verify", "--json", *options, env=self.env)
        *findings, summary = [json.loads(line) for line in done.stdout.splitlines()] or [done.stderr]
        return done.returncode, findings, summary["summary"]

    def restore_database(self, backup: "Place") -> None:
        """Copy all documents, without indexes."""
        for name in backup.database.list_collection_names():
            if rows := list(backup.database[name].find()):
                self.database[name].insert_many(rows)

    def restore_bucket(self, backup: "Place") -> None:
        """Copy all objects, as `tar` does of a folder, and `gcloud storage rsync` of a bucket."""
        if self.gate is None:
            shutil.copytree(backup.directory / "data", self.directory / "data")
            return
        objects = f"{self.gate.emulator}/storage/v1/b/{backup.bucket}/o"
        for stored in self.gate.client.get(objects).json().get("items", []):
            content = self.gate.client.get(f"{objects}/{quote(stored['name'], safe='')}?alt=media").content
            to = f"{self.gate.emulator}/upload/storage/v1/b/{self.bucket}/o"
            named = {"uploadType": "media", "name": stored["name"]}
            self.gate.client.post(to, params=named, content=content).raise_for_status()

    def close(self) -> None:
        self.client.drop_database(self.database)
        self.client.close()


class World:
    """Files that a server has: a report, and the output of a step."""

    def __init__(self, place: Place, server: Running) -> None:
        self.place = place
        self.lab = Lab(server, a_token(place.env), place.directory)
        self.galaxy = Galaxy.new(server)
        self.report, self.execution = a_report(), ""

    def write(self) -> str:
        """Upload a report, and run a step that makes a file; returns the id of the execution."""
        assert self.galaxy.upload(self.report).status_code == 200
        self.execution = self.lab.an_execution({"key": "a"})
        self.lab.run(WRITE, program=WORK)
        return self.execution


@pytest.fixture(params=["folder", "google"])
def places(request: pytest.FixtureRequest, mongod: EmbeddedMongo, tmp_path: Path) -> Iterator[list[Place]]:
    """The place that is backed up, the backup, and an empty one."""
    gate: Gate | None = request.getfixturevalue("gate") if request.param == "google" else None
    made = [Place(mongod, tmp_path / name, request.param, gate) for name in ("used", "backup", "empty")]
    yield made
    for place in made:
        place.close()


def output_of(server: Running, execution: str) -> bytes:
    """The bytes of the only output of an execution."""
    (step,) = server.ask(OUTPUTS, {"id": execution})["node"]["steps"]["nodes"]
    (output,) = step["outputs"]["nodes"]
    with httpx2.Client(**PLAIN) as client:
        answer = client.get(output["downloadUrl"]["url"])
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_server_that_was_restored_into_an_empty_place_has_all_files_of_the_backup(places: list[Place]) -> None:
    used, backup, empty = places
    with used.serving() as server:
        world = World(used, server)
        execution = world.write()
        backup.restore_database(used)
        later = world.write()
        backup.restore_bucket(used)

    empty.restore_database(backup)
    empty.restore_bucket(backup)
    migrated = command("migrate", env=empty.env)
    found = empty.verify()
    adopted = empty.verify("--adopt")
    after = empty.verify("--hashes", "--unreferenced")
    with empty.serving() as server:
        content = output_of(server, execution)
        lost = server.ask("query($id:ID!){node(id:$id){id}}", {"id": later})["node"]
        galaxy = Galaxy(server, world.galaxy.id, world.galaxy.uuid, world.galaxy.key)
        reports = galaxy.whoami().json()["uploaded_reports"]

    assert migrated.returncode == 0, migrated.stderr
    moved = 2 if used.kind == "google" else 0
    assert (found[0], found[2]["problems"]["MOVED"], len(found[1])) == (int(moved > 0), moved, moved)
    assert (adopted[0], adopted[1], adopted[2]["adopted"]) == (0, [], moved)
    assert (after[0], {finding["problem"] for finding in after[1]}, len(after[1])) == (0, {"UNREFERENCED"}, 2)
    assert after[2]["bytesRead"] == len(world.report) + len(content)
    assert content == b"made by a\n"
    assert lost is None
    assert len(reports) == 1


@pytest.mark.parametrize("places", ["folder"], indirect=True)
def test_a_bucket_that_was_backed_up_before_the_database_lacks_files_that_are_named(places: list[Place]) -> None:
    used, backup, _ = places
    with used.serving() as server:
        world = World(used, server)
        world.write()
        backup.restore_bucket(used)
        world.write()
        backup.restore_database(used)
    command("migrate", env=backup.env)

    code, findings, summary = backup.verify()
    told = command("verify", env=backup.env)

    assert code == 1
    assert sorted(finding["document"].partition("_")[0] for finding in findings) == ["archive", "output"]
    assert {finding["problem"] for finding in findings} == {"MISSING"}
    assert summary["problems"] == {"MISSING": 2, "WRONG_SIZE": 0, "WRONG_BYTES": 0, "MOVED": 0, "UNREFERENCED": 0}
    assert told.returncode == 1
    lines = [f"missing: {one['key']} ({one['document']}): There is no such object in the bucket." for one in findings]
    assert told.stdout.splitlines() == lines
    assert "2 missing" in told.stderr


def test_a_copy_of_the_directory_of_an_embedded_database_is_served_with_its_files(tmp_path: Path) -> None:
    used, restored = tmp_path / "used", tmp_path / "restored"
    for directory in (used, restored):
        directory.mkdir()
    with running(*COMMAND, "serve", directory=used) as server:
        report = a_report()
        galaxy = Galaxy.new(server)
        assert galaxy.upload(report).status_code == 200

    shutil.copytree(used / "data", restored / "data")
    shutil.rmtree(used)
    verified = command("verify", "--hashes", env=environment(restored))
    with running(*COMMAND, "serve", directory=restored) as server:
        again = Galaxy(server, galaxy.id, galaxy.uuid, galaxy.key)
        reports = again.whoami().json()["reports"]
        objects = again.objects()

    assert verified.returncode == 0, verified.stderr
    assert "Nothing is missing." in verified.stderr
    assert list(reports.values()) == [f"sha256:{hashlib.sha256(report).hexdigest()}"]
    assert objects == [report]


def test_a_database_is_verified_only_after_it_was_migrated(mongod: EmbeddedMongo, tmp_path: Path) -> None:
    place = Place(mongod, tmp_path / "place", "folder", None)
    place.database.users.insert_one({"_id": "user_1", "displayName": "eve"})

    done = command("verify", env=place.env)
    left = place.database.list_collection_names()
    place.close()

    assert done.returncode == 1
    assert "run `provenance-graph migrate`" in done.stderr
    assert left == ["users"]


def test_a_server_without_a_bucket_has_nothing_to_verify(mongod: EmbeddedMongo, tmp_path: Path) -> None:
    place = Place(mongod, tmp_path / "place", "folder", None)

    done = command("verify", env=place.env | {"PROVENANCE_ENV": "production"})
    place.close()

    assert (done.returncode, done.stderr) == (2, "PROVENANCE_BUCKET is not set, so there is nothing to verify.\n")


def test_a_bucket_that_does_not_exist_is_named(mongod: EmbeddedMongo, tmp_path: Path, gate: Gate) -> None:
    place = Place(mongod, tmp_path / "place", "google", gate)

    done = command("verify", env=place.env | {"PROVENANCE_BUCKET": "gs://nowhere-at-all"})
    place.close()

    message = "PROVENANCE_BUCKET cannot be used. There is no bucket nowhere-at-all.\n"
    assert (done.returncode, done.stderr) == (1, message)
