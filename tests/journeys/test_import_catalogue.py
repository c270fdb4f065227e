"""`provenance-graph import catalogue` as it is typed, and on real files."""

import asyncio
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, Database, open_database
from graph.commands.import_catalogue import import_app
from resolvers.formats.csvw import read_csvw
from resolvers.formats.info_json import read_info
from resolvers.imports.catalogue.importer import CatalogueSummary, import_catalogue
from resolvers.user_errors import InvalidInput
from tests.support.catalogue import ADMIN, ask_text, counts, csvw
from tests.support.checkouts import Checkout
from tests.support.needs import need_shared_data
from tests.support.running import ROOT, command, environment, on_database

CSVCUBED = "https://github.com/GSS-Cogs/csvcubed"
PAGE = """query ($after: String) { datasets(first: 50, after: $after) {
  pageInfo { hasNextPage endCursor }
  nodes { identifier versions(first: 100, orderBy: {field: ORDINAL, direction: ASC}) { nodes {
    label ordinal createdAt distribution { csvw sha256 sizeBytes } } } } } }"""


async def typed(mongod: EmbeddedMongo, database: Database, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in a process of its own."""
    env = environment(ROOT) | on_database(mongod.uri, database.name) | {"COLUMNS": "200"}
    done = await asyncio.to_thread(command, "import", "catalogue", *arguments, env=env)
    return done.returncode, done.stdout, done.stderr


def rows(printed: str) -> list[list[str]]:
    """The cells of a printed table."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]


async def test_a_folder_is_imported_with_a_table_and_the_first_reasons(
    mongod: EmbeddedMongo, database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "age.csv-metadata.json").write_text(csvw("age"))
    (folder / "info.json").write_text('{"title": "Births"}')
    (folder / "other.json").write_text("{}")
    for number in range(25):
        (folder / f"bad{number:02}.csv-metadata.json").write_text("{")
    report = tmp_path / "report.jsonl"

    code, printed, said = await typed(mongod, database, str(folder), "--report", str(report))

    assert code == 0, said
    assert ["CSV-W documents", "1", "0", "25", "0"] in rows(printed)
    assert ["info.json files", "1", "1", "0", "0"] in rows(printed)
    assert printed.count("The CSV-W document is not JSON") == 20
    assert "  and 5 more\n" in printed
    assert "1 other JSON files are not CSV-W documents." in printed
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["id"] for line in lines if line["outcome"] == "refused"] == [
        f"bad{number:02}.csv-metadata.json" for number in range(25)
    ]
    assert await database["dataset_versions"].count_documents({}) == 1


async def test_a_folder_with_nothing_in_it_says_so(mongod: EmbeddedMongo, database: Database, tmp_path: Path) -> None:
    code, printed, said = await typed(mongod, database, str(tmp_path))

    assert code == 0, said
    assert "holds neither CSV-W documents nor info.json files." in printed


async def test_a_checkout_is_imported_with_its_history(
    mongod: EmbeddedMongo, database: Database, tmp_path: Path
) -> None:
    checkout = Checkout.new(tmp_path / "births-family")
    commits = [checkout.commit({"age.csv-metadata.json": csvw("age", n=day)}, day=day) for day in (1, 2, 3)]

    code, printed, said = await typed(mongod, database, str(tmp_path), "--history")

    assert code == 0, said
    assert ["CSV-W documents", "3", "1", "0", "0"] in rows(printed)
    assert "age.csv-metadata.json: It names no publisher; https://github.com/statistics is assumed." in printed
    transforms = await database["transforms"].find({}).sort("end_timestamp").to_list()
    assert [one["code"][0]["commit"] for one in transforms] == commits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["/nowhere/at/all"], "/nowhere/at/all is not a folder."),
        ([".", "--report", "/nowhere/at/all"], "/nowhere/at/all cannot be written"),
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str], message: str) -> None:
    ended = CliRunner().invoke(import_app, ["catalogue", *arguments])

    assert ended.exit_code == 2
    assert message in ended.stderr


class Imported(NamedTuple):
    """A database into which the real files were imported, and how that went."""

    database: Database
    folder: Path
    summary: CatalogueSummary
    seconds: float
    """Of CPU."""


@pytest.fixture(scope="module")
async def imported_once(client: Client) -> AsyncIterator[Imported]:
    """The real files, imported once for the module."""
    folder, database = need_shared_data(), client[f"test_{uuid4().hex}"]
    await open_database(database)
    started = process_time()
    summary = await run(folder)
    yield Imported(database, folder, summary, process_time() - started)
    await client.drop_database(database)


@pytest.fixture
async def imported(imported_once: Imported) -> Imported:
    """The real files, imported into the database to which the documents are bound."""
    await open_database(imported_once.database, indexes=False)
    return imported_once


async def test_every_real_document_is_refused_or_a_version_that_reads_back_as_it_was(imported: Imported) -> None:
    summary, real = imported.summary, documents_in(imported.folder)

    assert imported.seconds < 30
    refused = {note.id for note in summary.refusals}
    answered = "".join([text async for text in pages()])
    for file, content in real.items():
        if file not in refused:
            written = f'"csvw":{content.decode()},"sha256":"{sha(content)}","sizeBytes":"{len(content)}"'
            assert written in answered, file
    assert len(real) >= 400
    assert len(refused & set(real)) <= len(real) // 50
    assert sum(count["CSV-W documents"] for count in (summary.taken, summary.already, summary.refused)) == len(real)


async def test_real_series_come_out_in_order_and_importing_again_publishes_nothing(imported: Imported) -> None:
    database, folder, first, _ = imported
    series = real_series(folder)
    found, before = await versions_served(), await counts(database)
    await database["idempotency_keys"].delete_many({})

    second = await run(folder)

    assert max(len(one) for one in series) >= 10
    for wanted in series:
        (versions,) = [one for one in found if digests(one)[: len(wanted)] == wanted]
        assert len(versions) - len(wanted) in (0, 1)
        assert [one["label"] for one in versions] == [f"v{number}" for number in range(1, len(versions) + 1)]
        assert [one["createdAt"] for one in versions] == sorted(one["createdAt"] for one in versions)
    assert second.taken == {}
    assert second.refusals == first.refusals
    assert await counts(database) == before
    assert before["dataset_versions"] == first.taken["CSV-W documents"]


async def test_real_transforms_used_the_sources_that_their_files_name(imported: Imported) -> None:
    database = imported.database
    states = {row["_id"]: row async for row in database["external_data"].find()}
    resources = {row["_id"]: row async for row in database["resources"].find()}
    runs = {row["_id"]: row async for row in database["transforms"].find()}
    documents = [(row["transform_id"], read_csvw(row["csvw"])) async for row in database["distributions"].find()]

    used = {run["_id"]: [states[one["ref"]]["url"] for one in run["used"] or []] for run in runs.values()}
    described: set[str] = set()
    for run in runs.values():
        sources = read_info(resources[run["resourceRef"]]["info"] or '{"title": "None"}').sources
        assert used[run["_id"]][: len(sources.urls)] == sources.urls
        described |= {run["resourceRef"]} if sources.urls else set()
    tables = [
        (run, {one.text for one in document.sources.mentions if one.text.startswith("http")})
        for run, document in documents
        if "foreignKeys" in {one.property for one in document.sources.mentions}
    ]

    assert len(described) == 11
    assert [len(urls - {*used[run]}) for run, urls in tables] == [0] * 16
    assert sum(bool(urls) for _, urls in tables) == 9
    assert sum(run["code"][-1]["repository"] == CSVCUBED for run in runs.values() if run["code"]) == 12
    assert all(one["assumed"] for run in runs.values() for one in run["used"] or [])
    assert len(states) == 31
    assert all(state["public"] and state["version"] is None and state["sha256"] is None for state in states.values())
    pages = {resource["landing_page"] for resource in resources.values()}
    assert not pages & {state["url"] for state in states.values()}


async def run(folder: Path) -> CatalogueSummary:
    """Import a folder; returns the summary."""
    return await import_catalogue(folder, ADMIN, lambda *_: None)


def documents_in(folder: Path) -> dict[str, bytes]:
    """Every file that is CSV-W: by what it holds, or because it lies where only CSV-W lies."""
    return {
        file: content
        for file, content in (
            (path.relative_to(folder).as_posix(), path.read_bytes()) for path in folder.rglob("*.json")
        )
        if not file.endswith(("info.json", "index.json"))
        and (file.startswith(("csvw/", "csvw_versions/")) or b"www.w3.org/ns/csvw" in content or is_csvw(content))
    }


def is_csvw(content: bytes) -> bool:
    try:
        read_csvw(content.decode())
    except (InvalidInput, UnicodeDecodeError):
        return False
    return True


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def real_series(folder: Path) -> list[list[str]]:
    """The digests of each listed series, in the order of the files' numbers."""
    numbered: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for entry in json.loads((folder / "csvw_versions/index.json").read_text()):
        file = folder / entry["file"]
        if file.exists():
            number = int(re.findall(r"\d+", file.stem)[-1])
            numbered[entry["repo"], entry["path"]][number] = sha(file.read_bytes())
    return [[digest for _, digest in sorted(files.items())] for files in numbered.values()]


async def pages() -> AsyncIterator[str]:
    """The answers, as they go over the wire, that list every version."""
    after = None
    while True:
        text = await ask_text(PAGE, after=after)
        yield text
        page = json.loads(text)["datasets"]["pageInfo"]
        if not page["hasNextPage"]:
            return
        after = page["endCursor"]


async def versions_served() -> list[Any]:
    """The versions of each dataset, in order."""
    found = [one async for text in pages() for one in json.loads(text)["datasets"]["nodes"]]
    return [one["versions"]["nodes"] for one in found]


def digests(versions: list[Any]) -> list[str]:
    """The digest of each version."""
    return [one["distribution"]["sha256"] for one in versions]
