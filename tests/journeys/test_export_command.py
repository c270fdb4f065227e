"""`provenance-graph export`, as an operator types it."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from typer.testing import CliRunner, Result

import documents
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from graph.commands import export
from graph.commands.main import app
from tests.journeys.killed_command import run_until_killed
from tests.support import builders as new
from tests.support.builders import keep
from tests.support.exports import bytes_below, exported_rows, store_archive
from tests.support.reports import JOB, report
from tests.support.running import command, environment, on_database
from tests.support.storage import LAB, Gate, Place

CONTENT = report(jobs=[JOB])


@pytest.fixture
async def instance(database: Database) -> documents.Instance:
    instance = new.an_instance()
    await keep(instance)
    return instance


@pytest.fixture
def env(
    database: Database, mongod: EmbeddedMongo, fast_directory: Path, folder: Place, tmp_path: Path
) -> dict[str, str]:
    """Variables of a command on the test's database, and on the folder that bytes are kept in."""
    kept = {"PROVENANCE_DATA_DIR": str(fast_directory)}
    return environment(tmp_path) | on_database(mongod.uri, database.name) | kept


def typed(*words: str) -> Result:
    """Run a command that is refused before it does anything."""
    return CliRunner().invoke(app, ["export", *words])


async def test_all_is_exported_and_a_second_run_writes_nothing(
    instance: documents.Instance, env: dict[str, str], tmp_path: Path
) -> None:
    await store_archive(instance, CONTENT)
    await store_archive(instance, CONTENT[:-20])
    to = tmp_path / "to"

    first = command("export", "parquet", str(to), env=env)
    before = bytes_below(to)
    second = command("export", "parquet", str(to), "--instance", instance.uuid, env=env)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "1 exported, 0 there already, 1 refused, 0 failed; 1 jobs written.\nrefused: 15" in first.stderr
    assert "0 exported, 2 there already, 0 refused, 0 failed; 0 jobs written.\n" in second.stderr
    assert [(row["external_id"], row["instance"]) for row in exported_rows(to)] == [(7, instance.uuid)]
    assert bytes_below(to) == before


async def test_a_run_that_was_killed_goes_on_where_it_stopped(
    instance: documents.Instance, env: dict[str, str], tmp_path: Path
) -> None:
    for number in range(5):
        rows = [f"{job}\tcat{number}\t1.0\tok\t2019-01-{job % 28 + 1:02} 10:00:00" for job in range(100)]
        await store_archive(instance, report(jobs=rows))
    to = tmp_path / "to"
    # Each archive becomes two files: the third one has half of them.
    run_until_killed("os.link", str(to), 5, "export", "parquet", str(to), env=env)

    done = command("export", "parquet", str(to), env=env)

    counted = re.search(r"(\d+) exported, (\d+) there already, 0 refused, 0 failed", done.stderr)
    assert counted is not None, done.stderr
    assert (int(counted[1]), int(counted[2])) == (3, 2)
    found = [(row["archive"], row["external_id"]) for row in exported_rows(to)]
    assert len(set(found)) == len(found) == 5 * 100


async def test_what_is_listed_says_where_the_bytes_are_and_whose(
    instance: documents.Instance, env: dict[str, str]
) -> None:
    archive = await store_archive(instance, CONTENT)
    await store_archive(instance, CONTENT, quarantine="The version of the report is 99.")

    done = command("export", "list", env=env)

    assert done.returncode == 0, done.stderr
    (line,) = map(json.loads, done.stdout.splitlines())
    url = line.pop("url")
    assert Path(url2pathname(urlsplit(url).path)).read_bytes() == CONTENT
    assert line == {
        "instance": instance.uuid,
        "archive": archive.id,
        "sha256": archive.sha256,
        "reported_at": archive.received_at.isoformat(),
    }


async def test_tasks_of_cloud_run_share_the_work_in_a_bucket(
    gate: Gate, instance: documents.Instance, env: dict[str, str]
) -> None:
    kept = [(await store_archive(instance, CONTENT)).id for _ in range(5)]
    to = f"gs://{LAB}/exports/{instance.id}/"
    env = env | {"STORAGE_EMULATOR_HOST": gate.emulator, "CLOUD_RUN_TASK_COUNT": "2"}

    tasks = [command("export", "parquet", to, env=env | {"CLOUD_RUN_TASK_INDEX": index}) for index in "01"]

    assert [task.returncode for task in tasks] == [0, 0], tasks[0].stderr
    assert sum(int(task.stderr.split(" exported")[0].split()[-1]) for task in tasks) == 5
    listed = gate.client.get(
        f"{gate.emulator}/storage/v1/b/{LAB}/o", params={"prefix": f"exports/{instance.id}/reports/"}
    )
    names = [item["name"].rpartition("/")[2].partition("-")[0] for item in listed.json()["items"]]
    assert sorted(names) == sorted(kept)


async def test_what_cannot_be_read_is_told_and_ends_with_1(
    instance: documents.Instance, env: dict[str, str], tmp_path: Path
) -> None:
    archive = new.an_archive(instance)
    await keep(archive)

    done = command("export", "parquet", str(tmp_path / "to"), env=env)

    assert done.returncode == 1
    assert f"failed: {archive.identifier} ({archive.id}): No object exists at" in done.stderr


async def test_an_instance_that_nobody_knows_is_named(instance: documents.Instance, env: dict[str, str]) -> None:
    done = command("export", "list", "--instance", "instance_none", env=env)

    assert (done.returncode, done.stdout) == (1, "")
    assert "No Instance with id instance_none" in done.stderr


@pytest.mark.parametrize("shard", ["3/3", "x", "1/0", "-1/2", "1"])
def test_a_shard_that_there_is_not_is_refused(shard: str, tmp_path: Path) -> None:
    done = typed("parquet", str(tmp_path / "to"), f"--shard={shard}")

    assert done.exit_code == 2
    assert f"not {shard}." in done.stderr
    assert not (tmp_path / "to").exists()


def test_without_pyarrow_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)

    done = typed("parquet", str(tmp_path / "to"))

    assert done.exit_code == 1
    assert "pip install 'provenance-graph[parquet]'" in done.stderr


async def test_a_destination_that_is_no_folder_is_told(
    instance: documents.Instance, env: dict[str, str], tmp_path: Path
) -> None:
    await store_archive(instance, CONTENT)
    (tmp_path / "to").write_text("a file")

    done = command("export", "parquet", str(tmp_path / "to"), env=env)

    assert done.returncode == 1
    assert "cannot be written: Not a directory." in done.stderr


@pytest.mark.parametrize("to", ["gs://", "gs://lab/../x", "gs://Lab/x", "gs://lab/a b"])
def test_a_destination_that_is_no_bucket_is_told(to: str) -> None:
    done = typed("parquet", to)

    assert (done.exit_code, done.stderr) == (2, f"{to} is not gs://bucket/prefix.\n")
