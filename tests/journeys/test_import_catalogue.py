"""`provenance-graph import catalogue` as it is typed, and on real files."""

import asyncio
import hashlib
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from typer.testing import CliRunner

from documents.database import Database
from documents.embedded import Embedded
from graph.importing_catalogue import import_app
from resolvers.ingest.catalogue import CatalogueSummary, import_catalogue
from resolvers.ingest.csvw import read_csvw
from resolvers.refusals import InvalidInput
from tests.catalogue import ADMIN, ask_text, counts, csvw
from tests.needs import need_shared_data

COMMAND = "from graph.importing_catalogue import import_app; import_app(prog_name='import')"

PAGE = """query ($after: String) { datasets(first: 50, after: $after) {
  pageInfo { hasNextPage endCursor }
  nodes { identifier versions(first: 100, orderBy: {field: ORDINAL, direction: ASC}) { nodes {
    label ordinal createdAt distribution { csvw sha256 sizeBytes } } } } } }"""


async def typed(mongod: Embedded, database: Database, *arguments: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of a command in a process of its own."""
    settings = {"PROVENANCE_DATABASE_URL": mongod.uri, "PROVENANCE_DATABASE_NAME": database.name, "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "catalogue", *arguments, env=os.environ | settings, stdout=-1, stderr=-1
    )
    printed, said = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, printed.decode(), said.decode()


def rows(printed: str) -> list[list[str]]:
    """The cells of a printed table."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]


async def test_a_folder_is_imported_with_a_table_and_the_first_reasons(
    mongod: Embedded, database: Database, tmp_path: Path
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
    assert "1 other JSON files are no CSV-W." in printed
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["id"] for line in lines if line["outcome"] == "refused"] == [
        f"bad{number:02}.csv-metadata.json" for number in range(25)
    ]
    assert await database["dataset_versions"].count_documents({}) == 1


async def test_a_folder_with_nothing_in_it_says_so(mongod: Embedded, database: Database, tmp_path: Path) -> None:
    code, printed, said = await typed(mongod, database, str(tmp_path))

    assert code == 0, said
    assert "holds neither CSV-W documents nor info.json files." in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["/nowhere/at/all"], "/nowhere/at/all is no folder."),
        ([".", "--report", "/nowhere/at/all"], "/nowhere/at/all cannot be written"),
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str], message: str) -> None:
    ended = CliRunner().invoke(import_app, ["catalogue", *arguments])

    assert ended.exit_code == 2
    assert message in ended.stderr


async def test_every_real_document_is_refused_or_a_version_that_reads_back_as_it_was(database: Database) -> None:
    folder = need_shared_data()
    real = documents_in(folder)
    started = monotonic()

    summary = await run(folder)

    assert monotonic() - started < 30
    refused = {note.id for note in summary.refusals}
    answered = "".join([text async for text in pages()])
    for file, content in real.items():
        if file not in refused:
            written = f'"csvw":{content.decode()},"sha256":"{sha(content)}","sizeBytes":"{len(content)}"'
            assert written in answered, file
    assert len(real) >= 400
    assert len(refused & set(real)) <= len(real) // 50
    assert sum(count["CSV-W documents"] for count in (summary.taken, summary.already, summary.refused)) == len(real)


async def test_real_series_come_out_in_order_and_importing_again_publishes_nothing(database: Database) -> None:
    folder = need_shared_data()
    series = real_series(folder)
    first = await run(folder)
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


async def run(folder: Path) -> CatalogueSummary:
    """What came of importing a folder."""
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
