"""Commands beside a server that runs on the embedded database of the same data directory."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import STEPS
from documents.migrations.step_list import newest_version
from documents.mongo.database import Client, make_client
from tests.support import odtp_shapes as odtp
from tests.support.catalogue import csvw
from tests.support.odtp_source import fill, odtp_source
from tests.support.patience import until, within
from tests.support.running import COMMAND, Process, Running, command, environment, running, start


@pytest.fixture(scope="module")
def served(fast_directory: Path) -> Iterator[Running]:
    """A server on an embedded database of its own."""
    directory = fast_directory / "beside"
    directory.mkdir()
    with running(*COMMAND, "serve", directory=directory) as server:
        yield server


@pytest.fixture
async def source(mongod: EmbeddedMongo, client: Client) -> AsyncIterator[tuple[str, ...]]:
    """The address of an ODTP database with one digital twin, as `import odtp` takes it."""
    async with odtp_source(client) as database:
        await fill(database, odtp.a_chain())
        yield mongod.uri, "--database", database.name


def watching(source: tuple[str, ...], env: dict[str, str], log: Path) -> Process:
    """An import that goes on until it is stopped, after its first round."""
    process = start((*COMMAND, "import", "odtp", *source, "--watch", "1"), env, log)
    until(lambda: "Importing again" in log.read_text() or process.poll() is not None, shown=log.read_text)
    assert process.poll() is None, log.read_text()
    return process


def test_tokens_are_made_listed_and_revoked_beside_a_server(served: Running) -> None:
    env = environment(served.directory)

    made = command("token", "create", "a pipeline", "--role", "worker", env=env)
    seen = served.post("{viewer{role}}", authorization=f"Bearer {made.stdout.strip()}").json()
    listed = command("token", "list", env=env)
    revoked = command("token", "revoke", re.findall(r"token_\w+", made.stderr)[0], env=env)
    refused = served.post("{viewer{role}}", authorization=f"Bearer {made.stdout.strip()}")

    assert (made.returncode, listed.returncode, revoked.returncode) == (0, 0, 0), made.stderr
    assert "Starting the embedded database" not in made.stderr
    assert seen == {"data": {"viewer": {"role": "WORKER"}}}
    assert "WORKER  a pipeline" in listed.stdout
    assert refused.status_code == 401


def test_migrations_are_planned_and_run_beside_a_server(served: Running) -> None:
    env = environment(served.directory)

    planned = command("migrate", "--dry-run", env=env)
    migrated = command("migrate", env=env)

    assert (planned.returncode, planned.stderr.splitlines()[-1]) == (0, "There is nothing to do.")
    assert (migrated.returncode, migrated.stderr.splitlines()[-1]) == (
        0,
        f"Database provenance is at schema version {newest_version(STEPS)} and has all its indexes.",
    )


async def test_data_are_imported_and_exported_beside_a_server(
    served: Running, source: tuple[str, ...], tmp_path: Path
) -> None:
    env = environment(served.directory)
    (tmp_path / "age.csv-metadata.json").write_text(csvw("age"))
    words = [
        ("import", "catalogue", str(tmp_path)),
        ("import", "odtp", *source),
        ("export", "parquet", str(tmp_path / "exported")),
        ("export", "list"),
        ("work", "--ingest", "--until-idle"),
    ]

    done = [await asyncio.to_thread(command, *arguments, env=env) for arguments in words]
    answer = served.ask("{datasets{nodes{title}} digitalTwins{nodes{name}}}")

    assert [command.returncode for command in done] == [0] * 5, [command.stderr for command in done]
    assert len(answer["datasets"]["nodes"]) == 1
    assert len(answer["digitalTwins"]["nodes"]) == 1


async def test_two_commands_run_at_once_beside_a_server(served: Running) -> None:
    env = environment(served.directory)

    done = await asyncio.gather(
        *(asyncio.to_thread(command, "token", "create", name, "--role", "worker", env=env) for name in ("one", "two"))
    )

    assert [command.returncode for command in done] == [0, 0], [command.stderr for command in done]
    listed = command("token", "list", env=env).stdout
    assert "WORKER  one" in listed
    assert "WORKER  two" in listed


async def test_commands_leave_the_steps_of_a_migration_to_that_command(served: Running) -> None:
    env = environment(served.directory)
    address = served.directory / "data" / "database"
    password, port = (address / "password").read_text(), re.findall(r"127.0.0.1:(\d+)", served.log)[0]
    uri = f"mongodb://provenance:{password}@127.0.0.1:{port}/?replicaSet=provenance&authSource=admin"
    newest = newest_version(STEPS)
    client = make_client(uri)
    versions = client["provenance"]["schema_version"]
    await versions.update_one({}, {"$set": {"version": newest - 1}})

    refused = await asyncio.to_thread(command, "token", "list", env=env)
    kept = await versions.find_one({})
    migrated = await asyncio.to_thread(command, "migrate", env=env)
    listed = await asyncio.to_thread(command, "token", "list", env=env)
    await client.close()

    at = (
        f"The database is at schema version {newest - 1}, this server needs {newest}: run `provenance-graph migrate`.\n"
    )
    assert (refused.returncode, refused.stderr) == (1, at)
    assert kept is not None
    assert kept["version"] == newest - 1
    assert (migrated.returncode, listed.returncode) == (0, 0)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
async def test_a_command_ends_with_a_sentence_when_the_server_stops(
    source: tuple[str, ...], fast_directory: Path, stop: signal.Signals
) -> None:
    directory = fast_directory / f"stopping-{stop.name}"
    directory.mkdir()
    log = directory / "command"
    with running(*COMMAND, "serve", directory=directory) as server:
        process = watching(source, environment(directory), log)
        os.kill(server.process.pid, stop)
        until(lambda: server.process.poll() is not None)
        code = process.wait(within())

    assert code == 1, log.read_text()
    assert log.read_text().splitlines()[-1] == (
        f"The database in {directory / 'data' / 'database'} stopped, which process {server.process.pid} ran, so this "
        "command ended early: run it again to do the rest."
    )
    assert "Traceback" not in log.read_text()


async def test_a_command_that_runs_the_database_waits_for_those_that_joined(
    source: tuple[str, ...], fast_directory: Path
) -> None:
    directory = fast_directory / "joined"
    directory.mkdir()
    env = environment(directory)
    owner = watching(source, env, directory / "owner")
    joined = watching(source, env, directory / "joined")

    owner.send_signal(signal.SIGTERM)
    until(lambda: "Waiting for other commands to end" in (directory / "owner").read_text())
    ran_on = joined.poll() is None
    joined.send_signal(signal.SIGTERM)

    assert ran_on
    assert (joined.wait(within()), owner.wait(within())) == (0, 0)
    assert "Starting the embedded database" not in (directory / "joined").read_text()
