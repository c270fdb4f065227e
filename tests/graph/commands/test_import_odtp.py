"""`provenance-graph import odtp`, as it is typed."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, Database
from graph.commands.main import app
from resolvers.imports.odtp.importer import import_odtp
from tests.support import odtp_shapes as odtp
from tests.support.forking import Forked
from tests.support.odtp_source import fill, odtp_source
from tests.support.patience import until_awaited, within
from tests.support.running import COMMAND, ROOT, command


def _silently(collection: str, done: int, total: int) -> None:
    """No bars."""


class Ended(NamedTuple):
    """The exit code and the output of a command."""

    code: int | None
    printed: str
    said: str


@pytest.fixture
async def source(client: Client) -> AsyncIterator[Database]:
    """An ODTP database with 30 versions whose datatype is spelled otherwise, dropped after the test."""
    rows = odtp.a_chain()
    rows["versions"] += [odtp.version(300 + number, 21, f"v{number}", secrets=None) for number in range(29)]
    async with odtp_source(client) as source:
        await fill(source, rows)
        yield source


async def run(mongod: EmbeddedMongo, ours: str, *arguments: str) -> Ended:
    """Run `provenance-graph import odtp` with our own database on the same server."""
    settings = {"PROVENANCE_DATABASE_URL": mongod.uri, "PROVENANCE_DATABASE_NAME": ours, "COLUMNS": "200"}
    done = await asyncio.to_thread(command, "import", "odtp", *arguments, env=os.environ | settings)
    return Ended(done.returncode, done.stdout, done.stderr)


async def test_a_database_is_imported_with_a_table_and_the_first_reasons(
    mongod: EmbeddedMongo, database: Database, source: Database, tmp_path: Path
) -> None:
    report = tmp_path / "report.jsonl"
    await source["workflows"].insert_one(odtp.workflow(901, []))
    ended = await run(mongod, database.name, mongod.uri, "--database", source.name, "--report", str(report))

    assert ended.code == 0, ended.said
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ended.printed.splitlines() if "│" in line]
    assert ["versions", "30", "30", "0", "0"] in rows
    assert ["logs", "7", "0", "0", "0"] in rows
    assert ["workflows", "1", "1", "1", "0"] in rows
    assert "Adjusted:" in ended.printed
    assert ended.printed.count('has the datatype "int"; read as integer.') == 19
    assert "  and 13 more\n" in ended.printed
    assert f"Refused:\n  workflows {odtp.hex(901)}: It has 0 versions" in ended.printed
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(lines) == 34
    assert lines[-2]["id"] is None
    assert lines[-1]["outcome"] == "refused"
    assert lines[-1]["id"] == odtp.hex(901)
    assert await database["steps"].count_documents({}) == 2


async def test_a_second_import_says_that_all_is_here(
    mongod: EmbeddedMongo, database: Database, source: Database
) -> None:
    await import_odtp(source, _silently)
    ended = await run(mongod, database.name, mongod.uri, "--database", source.name)

    assert ended.code == 0, ended.said
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ended.printed.splitlines() if "│" in line]
    assert ["versions", "0", "0", "0", "30"] in rows
    assert ["logs", "0", "0", "0", "7"] in rows


async def test_a_later_import_says_what_was_updated_what_was_kept_and_what_is_gone(
    mongod: EmbeddedMongo, database: Database, source: Database, tmp_path: Path
) -> None:
    await import_odtp(source, _silently)
    await database["digitalTwins"].update_one({}, {"$set": {"name": "Renamed here"}})
    await source["digitalTwins"].update_one({}, {"$set": {"public": False}})
    await source["results"].delete_many({})
    report = tmp_path / "report.jsonl"

    ended = await run(mongod, database.name, mongod.uri, "--database", source.name, "--report", str(report))

    assert ended.code == 0, ended.said
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ended.printed.splitlines() if "│" in line]
    assert ["digitalTwins", "0", "0", "0", "0", "1", "1", "0"] in rows
    assert ["results", "0", "0", "0", "0", "0", "0", "1"] in rows
    twin = f"  digitalTwins {odtp.hex(11)}: "
    assert f"Updated:\n{twin}public was true; it is false now, as in ODTP.\n" in ended.printed
    assert f'Kept:\n{twin}name is "Renamed here" here and "Corsica" in ODTP; kept, because' in ended.printed
    assert f"Gone:\n  results {odtp.hex(81)}: It was deleted in ODTP; kept here.\n" in ended.printed
    outcomes = [json.loads(line)["outcome"] for line in report.read_text().splitlines()]
    assert outcomes == ["updated", "kept", "gone"]


async def test_a_watched_database_is_imported_again_until_the_command_is_stopped(
    mongod: EmbeddedMongo, database: Database, source: Database, tmp_path: Path
) -> None:
    settings = {"PROVENANCE_DATABASE_URL": mongod.uri, "PROVENANCE_DATABASE_NAME": database.name, "COLUMNS": "200"}
    out, err = tmp_path / "printed", tmp_path / "said"
    words = [*COMMAND, "import", "odtp", mongod.uri, "--database", source.name, "--watch", "1"]
    process = Forked(words, cwd=ROOT, env=os.environ | settings, stdout=out, stderr=err)
    try:
        await until_awaited(lambda: database["results"].count_documents({}))
        await source["digitalTwins"].update_one({}, {"$set": {"name": "Sardinia"}})
        await until_awaited(lambda: database["digitalTwins"].count_documents({"name": "Sardinia"}))
        # The source lacks ODTP's collections for a moment only: the watch reports it and goes on.
        rows = {name: await source[name].find().to_list() for name in await source.list_collection_names()}
        await source.client.drop_database(source)
        await until_awaited(lambda: _holds(err, "has none of the collections of ODTP"))
        await fill(source, rows)
        await source["digitalTwins"].update_one({}, {"$set": {"name": "Elba"}})
        await until_awaited(lambda: database["digitalTwins"].count_documents({"name": "Elba"}))
        # The import that told of this, and one more for what came while it ran.
        await _pass_rounds(source, 2)
        news = err.read_text().count("Imported again.")
        await _pass_rounds(source, 3)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, within())
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)

    printed, said = out.read_text(), err.read_text()
    assert process.returncode == 0, said
    # Rounds in which nothing is new say nothing, whatever was seen of the rows while they came back.
    assert printed.count("collection") == said.count("Imported again.") + 1 == news + 1
    assert 'name was "Corsica"; it is "Sardinia" now, as in ODTP.' in printed
    assert 'name was "Sardinia"; it is "Elba" now, as in ODTP.' in printed
    assert "has none of the collections of ODTP" in said
    assert "Traceback" not in said
    assert said.rstrip().endswith("Stopped.")


async def _holds(path: Path, words: str) -> bool:
    return words in path.read_text()


async def _pass_rounds(source: Database, rounds: int) -> None:
    """Return when the source was read so many times more, by the database's own count."""

    async def reads() -> int:
        top = await source.client.admin.command("top")
        found: int = top["totals"][f"{source.name}.users"]["queries"]["count"]
        return found

    before = await reads()

    async def passed() -> bool:
        return await reads() >= before + rounds

    await until_awaited(passed)


async def test_the_database_is_that_of_the_address(mongod: EmbeddedMongo, database: Database, source: Database) -> None:
    address, mark, options = mongod.uri.partition("?")
    ended = await run(mongod, database.name, f"{address.rstrip('/')}/{source.name}{mark}{options}&authSource=admin")

    assert ended.code == 0, ended.said
    assert await database["users"].count_documents({}) == 1


async def test_a_source_that_does_not_answer_is_named_without_credentials(
    mongod: EmbeddedMongo, database: Database
) -> None:
    dead = "mongodb://ada:s3cr3t@127.0.0.1:1/odtp?serverSelectionTimeoutMS=300"
    ended = await run(mongod, database.name, dead)

    assert ended.code == 1
    assert "The ODTP database at 127.0.0.1:1 cannot be read" in ended.said
    assert "s3cr3t" not in ended.said + ended.printed
    assert "Traceback" not in ended.said


def test_a_source_that_does_not_let_us_in_is_named_without_credentials(mongod: EmbeddedMongo) -> None:
    host = mongod.uri.partition("://")[2].rpartition("@")[2].partition("/")[0]
    ended = CliRunner().invoke(app, ["import", "odtp", f"mongodb://ada:s3cr3t@{host}/odtp?directConnection=true"])

    assert ended.exit_code == 1
    assert f"The ODTP database at {host} cannot be read: Authentication failed." in ended.stderr
    assert "s3cr3t" not in ended.output


async def test_another_kind_of_database_is_refused(mongod: EmbeddedMongo, database: Database) -> None:
    ended = await run(mongod, database.name, mongod.uri, "--database", "nothing_here")

    assert ended.code == 1
    assert "The database nothing_here has none of the collections of ODTP. Name another one" in ended.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument"),
        (["ftp://ada:s3cr3t@somewhere"], "MONGODB_URI is not a valid MongoDB address"),
        (["mongodb://ada:s3cr3t@host:port/odtp"], "MONGODB_URI is not a valid MongoDB address"),
        (["mongodb://host/odtp", "--report", "/nowhere/at/all"], "/nowhere/at/all cannot be written"),
        (["mongodb://host/odtp", "--watch", "0"], "Invalid value for '--watch'"),
        (["mongodb://host/odtp", "--watch", "soon"], "Invalid value for '--watch'"),
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(app, ["import", "odtp", *arguments])

    assert ended.exit_code == 2
    assert said in ended.stderr
    assert "s3cr3t" not in ended.output
