"""Several pipelines in one directory are a resource each."""

import json
from pathlib import Path
from typing import Any

from documents.mongo.database import Database
from tests.support.catalogue import ask, counts, csvw
from tests.support.folders import PAGE, datasets, info, run, sources, version_digests, write_files

RESOURCES = """{ resources(first: 50, orderBy: {field: TITLE, direction: ASC}) { nodes {
  title info codeRepo { pipeline source { path } } datasets { nodes { identifier } } } } }"""


async def resources() -> list[tuple[str, str | None, list[str]]]:
    """Title, pipeline and datasets of each resource."""
    nodes = (await ask(RESOURCES))["resources"]["nodes"]
    return [
        (one["title"], one["codeRepo"]["pipeline"], [dataset["identifier"] for dataset in one["datasets"]["nodes"]])
        for one in nodes
    ]


def accounts(**files: str) -> dict[str, str]:
    """A directory with descriptions of three pipelines that differ in their names alone."""
    named = {f"p/{name}-info.json": info("Balance") for name in ("capital", "current", "services")}
    return named | {f"p/{file.replace('__', '/')}.csv-metadata.json": text for file, text in files.items()}


async def test_each_info_json_of_a_directory_is_a_pipeline(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, accounts(current=csvw("current"), out__services=csvw("x"), out__area=csvw("area")))

    summary = await run(tmp_path)

    assert await resources() == [
        ("Balance (capital)", "capital", ["area"]),
        ("Balance (current)", "current", ["current"]),
        ("Balance (services)", "services", ["x"]),
    ]
    assert summary.refused == {}
    assert summary.taken == {"CSV-W documents": 3, "info.json files": 3}
    before = await counts(database)
    again = await run(tmp_path)
    assert (again.taken, again.already) == ({}, {"CSV-W documents": 3, "info.json files": 3})
    assert await counts(database) == before


async def test_a_plain_info_json_describes_what_no_other_is_named_after(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, accounts(area=csvw("area"), capital=csvw("capital")) | {"p/info.json": info("Balance")})

    await run(tmp_path)

    assert await resources() == [
        ("Balance", None, ["area"]),
        ("Balance (capital)", "capital", ["capital"]),
        ("Balance (current)", "current", []),
        ("Balance (services)", "services", []),
    ]


async def test_pipelines_of_one_directory_share_its_code_and_not_its_resource(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path, sources("p"))
    write_files(tmp_path / "births-family", accounts(current=csvw("current")))

    await run(tmp_path)

    nodes = (await ask(RESOURCES))["resources"]["nodes"]
    assert [one["codeRepo"]["pipeline"] for one in nodes] == ["capital", "current", "services"]
    assert [[file["path"] for file in one["codeRepo"]["source"]] for one in nodes] == [["p/main.py", "p/info.json"]] * 3
    assert (await run(tmp_path)).taken == {}


async def test_a_pipeline_that_joins_others_changes_nothing_of_theirs(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, {"p/services-info.json": info("Balance"), "p/area.csv-metadata.json": csvw("area")})
    await run(tmp_path)
    write_files(tmp_path, accounts())

    summary = await run(tmp_path)
    write_files(tmp_path, accounts(area=csvw("area", note=2)))
    await run(tmp_path)

    assert await resources() == [
        ("Balance", "services", ["area"]),
        ("Balance (capital)", "capital", []),
        ("Balance (current)", "current", []),
    ]
    assert summary.taken == {"info.json files": 2}
    assert [label for label, _ in version_digests((await datasets())["area"])] == ["v1", "v2"]


async def test_what_an_earlier_release_took_for_one_pipeline_is_found_and_the_others_are_added(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path, sources("p"))
    folder = write_files(tmp_path / "births-family", accounts(area=csvw("area"), current=csvw("current")))
    await run(tmp_path)
    await _as_the_release_before(database)
    write_files(folder, {"p/current-info.json": info("Balance", notes="other")})

    summary = await run(tmp_path)
    again = await run(tmp_path)

    assert await resources() == [
        ("Balance", None, ["area", "current"]),
        ("Balance (current)", "current", []),
        ("Balance (services)", "services", []),
    ]
    assert (summary.taken, summary.already) == (
        {"info.json files": 2},
        {"CSV-W documents": 2, "info.json files": 1},
    )
    assert again.taken == {}


async def _as_the_release_before(database: Database) -> None:
    """Put all into the resource of the directory, as when the first info.json described it and others were refused."""
    first, *others = await database.resources.find({}, sort=[("title", 1)]).to_list()
    ids = [other["_id"] for other in others]
    key: list[Any] = [PAGE, first["code_repo"]["url"], "directory", "p"]
    changed = {"title": "Balance", "naturalKey": json.dumps(key)}
    await database.resources.update_one({"_id": first["_id"]}, {"$set": changed, "$unset": {"code_repo.pipeline": ""}})
    for collection in ("datasets", "transforms"):
        await database[collection].update_many({"resourceRef": {"$in": ids}}, {"$set": {"resourceRef": first["_id"]}})
    await database.datasets.update_many({}, {"$unset": {"subject": ""}})
    await database.resources.delete_many({"_id": {"$in": ids}})
    await database.idempotency_keys.delete_many({})
