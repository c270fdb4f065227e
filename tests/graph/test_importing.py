"""`provenance-graph import odtp`, as it is typed."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from documents.database import Client, Database
from documents.embedded import Embedded
from graph.cli import app
from tests.resolvers.ingest import odtp_shapes as odtp
from tests.resolvers.ingest.odtp_source import fill, odtp_source

COMMAND = Path(sys.executable).with_name("provenance-graph")


class Ended(NamedTuple):
    """What a command left behind."""

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


async def run(mongod: Embedded, ours: str, *arguments: str) -> Ended:
    """Run `provenance-graph import odtp` with our own database on the same server."""
    settings = {"PROVENANCE_DATABASE_URL": mongod.uri, "PROVENANCE_DATABASE_NAME": ours, "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        COMMAND, "import", "odtp", *arguments, env=os.environ | settings, stdout=-1, stderr=-1
    )
    printed, said = await asyncio.wait_for(process.communicate(), 60)
    return Ended(process.returncode, printed.decode(), said.decode())


async def test_a_database_is_imported_with_a_table_and_the_first_reasons(
    mongod: Embedded, database: Database, source: Database, tmp_path: Path
) -> None:
    report = tmp_path / "report.jsonl"
    ended = await run(mongod, database.name, mongod.uri, "--database", source.name, "--report", str(report))

    assert ended.code == 0, ended.said
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ended.printed.splitlines() if "│" in line]
    assert ["versions", "30", "30", "0", "0"] in rows
    assert ["logs", "7", "0", "0", "0"] in rows
    assert ["workflows", "0", "0", "1", "0"] in rows
    assert "Adjusted:" in ended.printed
    assert ended.printed.count('has the datatype "int"; read as integer.') == 19
    assert "  and 13 more\n" in ended.printed
    assert f"Refused:\n  workflows {odtp.hex(900)}: Templates of workflows are not kept here" in ended.printed
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(lines) == 34
    assert lines[-2]["id"] is None
    assert lines[-1]["outcome"] == "refused"
    assert lines[-1]["id"] == odtp.hex(900)
    assert await database["steps"].count_documents({}) == 2


async def test_a_second_import_says_that_all_is_here(mongod: Embedded, database: Database, source: Database) -> None:
    await run(mongod, database.name, mongod.uri, "--database", source.name)
    ended = await run(mongod, database.name, mongod.uri, "--database", source.name)

    assert ended.code == 0, ended.said
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ended.printed.splitlines() if "│" in line]
    assert ["versions", "0", "0", "0", "30"] in rows
    assert ["logs", "0", "0", "0", "7"] in rows


async def test_the_database_is_that_of_the_address(mongod: Embedded, database: Database, source: Database) -> None:
    address, mark, options = mongod.uri.partition("?")
    ended = await run(mongod, database.name, f"{address.rstrip('/')}/{source.name}{mark}{options}&authSource=admin")

    assert ended.code == 0, ended.said
    assert await database["users"].count_documents({}) == 1


async def test_a_source_that_does_not_answer_is_named_without_credentials(mongod: Embedded, database: Database) -> None:
    dead = "mongodb://ada:s3cr3t@127.0.0.1:1/odtp?serverSelectionTimeoutMS=300"
    ended = await run(mongod, database.name, dead)

    assert ended.code == 1
    assert "The ODTP database at 127.0.0.1:1 cannot be read" in ended.said
    assert "s3cr3t" not in ended.said + ended.printed
    assert "Traceback" not in ended.said


async def test_a_source_that_does_not_let_us_in_is_named_without_credentials(
    mongod: Embedded, database: Database
) -> None:
    host = mongod.uri.partition("://")[2].rpartition("@")[2].partition("/")[0]
    ended = await run(mongod, database.name, f"mongodb://ada:s3cr3t@{host}/odtp?directConnection=true")

    assert ended.code == 1
    assert f"The ODTP database at {host} cannot be read: Authentication failed." in ended.said
    assert "s3cr3t" not in ended.said + ended.printed


async def test_another_kind_of_database_is_refused(mongod: Embedded, database: Database) -> None:
    ended = await run(mongod, database.name, mongod.uri, "--database", "nothing_here")

    assert ended.code == 1
    assert "The database nothing_here has none of the collections of ODTP. Name another one" in ended.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument"),
        (["ftp://ada:s3cr3t@somewhere"], "MONGODB_URI is no address of a MongoDB"),
        (["mongodb://ada:s3cr3t@host:port/odtp"], "MONGODB_URI is no address of a MongoDB"),
        (["mongodb://host/odtp", "--report", "/nowhere/at/all"], "/nowhere/at/all cannot be written"),
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(app, ["import", "odtp", *arguments])

    assert ended.exit_code == 2
    assert said in ended.stderr
    assert "s3cr3t" not in ended.output
