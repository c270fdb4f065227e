"""The sources that imported files name, as what the imported transforms used."""

import json
from pathlib import Path
from typing import Any

from documents.mongo.database import Database
from tests.support.catalogue import csvw
from tests.support.folders import history, info, run, write_files

FILES, CODES = "https://files.example", "http://codes.example"


def refers_to(*tables: str) -> dict[str, Any]:
    """The schema of a table with a foreign key to each of these."""
    return {"columns": [], "foreignKeys": [{"columnReference": "a", "reference": {"resource": url}} for url in tables]}


async def sources(database: Database) -> dict[str, list[list[str]]]:
    """What each run used that made a version of a dataset, in the order of versions: URLs, or versions here."""
    elsewhere = {row["_id"]: row["url"] async for row in database["external_data"].find()}
    names = {row["_id"]: row["identifier"] async for row in database["datasets"].find()}
    versions = await database["dataset_versions"].find().sort("ordinal").to_list()
    here = {row["distributionRef"]: f"{names[row['datasetRef']]} {row['label']}" for row in versions}
    runs = {row["_id"]: row["used"] async for row in database["transforms"].find()}
    made = {row["_id"]: row["transform_id"] async for row in database["distributions"].find()}
    found: dict[str, list[list[str]]] = {}
    for row in versions:
        used = runs[made[row["distributionRef"]]] or []
        assert all(one["assumed"] for one in used)
        found.setdefault(names[row["datasetRef"]], []).append([(elsewhere | here)[one["ref"]] for one in used])
    return found


async def test_a_pipeline_whose_tables_others_use_is_imported_first_and_again_changes_nothing(
    database: Database, tmp_path: Path
) -> None:
    uses = {"births": ["sex", "middle"], "middle": ["sex"], "sex": []}
    write_files(
        tmp_path,
        {
            f"{name}/{name}.csv-metadata.json": csvw(
                name, url=f"{CODES}/{name}.csv", tableSchema=refers_to(*(f"{CODES}/{other}.csv" for other in others))
            )
            for name, others in uses.items()
        },
    )
    write_files(tmp_path, {"births/info.json": info(dataURL=[f"{FILES}/births.xls", f"{CODES}/sex.csv"])})

    await run(tmp_path)

    assert await sources(database) == {
        "births": [[f"{FILES}/births.xls", "sex v1", "middle v1"]],
        "middle": [["sex v1"]],
        "sex": [[]],
    }
    stored = await everything(database)
    await database["idempotency_keys"].delete_many({})
    await run(tmp_path)
    assert await everything(database) == stored


async def test_pipelines_that_use_each_others_tables_are_imported(database: Database, tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        text = csvw(one, url=f"{CODES}/{one}.csv", tableSchema=refers_to(f"{CODES}/{other}.csv"))
        write_files(tmp_path, {f"{one}/{one}.csv-metadata.json": text})

    await run(tmp_path)

    assert sorted(used for runs in (await sources(database)).values() for used in runs) in (
        [["a v1"], [f"{CODES}/b.csv"]],
        [["b v1"], [f"{CODES}/a.csv"]],
    )


async def test_each_state_of_a_document_used_the_version_of_a_table_at_its_time(
    database: Database, tmp_path: Path
) -> None:
    births = [csvw("births", tableSchema=refers_to(f"{CODES}/sex.csv"), n=number) for number in range(3)]
    files = history("births/births.csv-metadata.json", *births, folder="versions/births")
    entries = json.loads(files["versions/index.json"])
    for number in (1, 2):
        at = f"2021-07-0{number + 1}T00:00:00Z"
        file = f"versions/sex/v{number}.json"
        entries.append({"file": file, "repo": "statistics/codes", "path": "sex.csv-metadata.json", "created": at})
        files[file] = csvw("sex", url=f"{CODES}/sex.csv", n=number)
    write_files(tmp_path, files | {"versions/index.json": json.dumps(entries)})

    await run(tmp_path)

    assert await sources(database) == {
        "births": [[f"{CODES}/sex.csv"], ["sex v1"], ["sex v2"]],
        "sex": [[], []],
    }


async def test_what_is_no_source_is_left_out_and_the_report_says_so(database: Database, tmp_path: Path) -> None:
    document = csvw("births", tableSchema=refers_to("age.csv", "gone.csv"), **{"prov:derivedFrom": {"@id": "urn:a"}})
    files = {
        "births.csv-metadata.json": document,
        "age.csv-metadata.json": csvw("age"),
        "info.json": info(dataURL="XLS"),
    }
    write_files(tmp_path / "births", files)

    summary = await run(tmp_path)

    notes = [(note.id, note.reason) for note in summary.adjustments if note.reason.endswith("left out.")]
    no_address = "is no web address of at most 2,000 characters; left out."
    assert notes == [
        ("births/info.json", f"dataURL 'XLS' {no_address}"),
        ("births/births.csv-metadata.json", f"foreignKeys 'gone.csv' {no_address}"),
        ("births/births.csv-metadata.json", f"prov:derivedFrom 'urn:a' {no_address}"),
    ]
    assert await sources(database) == {"births": [[]], "age": [[]]}


async def everything(database: Database) -> dict[str, list[Any]]:
    """All that an import writes of runs."""
    return {
        name: await database[name].find().sort("_id").to_list()
        for name in ("transforms", "external_data", "distributions", "datasets", "resources")
    }
