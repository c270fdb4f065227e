"""Documents of no known repository are found again wherever somebody keeps the folder that they are in."""

import json
from pathlib import Path
from typing import Any

from documents.mongo.database import Database
from tests.support.catalogue import ask, counts, csvw
from tests.support.folders import datasets, info, run, version_digests, write_files

FILES = {"age.csv-metadata.json": csvw("age"), "lists/sex.csv-metadata.json": csvw("sex")}


async def labels() -> dict[str, list[str]]:
    """The labels of each dataset's versions."""
    return {name: [label for label, _ in version_digests(one)] for name, one in (await datasets()).items()}


async def pages() -> dict[str, Any]:
    """The landing page and the title of each dataset's resource."""
    found = await datasets()
    return {name: (one["resource"]["landingPage"], one["resource"]["title"]) for name, one in found.items()}


async def test_a_folder_of_unknown_origin_claims_neither_repository_nor_publisher(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path / "found here", FILES | {".git/HEAD": "ref: refs/heads/main"})

    await run(tmp_path / "found here")

    assert await pages() == {
        "age": ("urn:folder:.", "Documents of unknown origin"),
        "sex": ("urn:folder:lists", "lists"),
    }
    resource = (await datasets())["age"]["resource"]
    assert resource["organisation"] == {"url": "urn:publisher:unknown", "name": None}
    assert resource["codeRepo"]["url"] is None


async def test_the_name_of_the_imported_folder_is_no_part_of_any_key(database: Database, tmp_path: Path) -> None:
    await run(write_files(tmp_path / "one", FILES))
    before = await counts(database)
    await database["idempotency_keys"].delete_many({})

    again = await run(write_files(tmp_path / "two", FILES))

    assert (again.taken, again.already) == ({}, {"CSV-W documents": 2})
    assert await counts(database) == before


async def test_a_copy_below_other_folders_is_found_and_continued(database: Database, tmp_path: Path) -> None:
    await run(write_files(tmp_path / "one", FILES))
    deep = write_files(tmp_path / "two" / "a" / "b", FILES | {"size.csv-metadata.json": csvw("size")})

    summary = await run(tmp_path / "two")
    write_files(deep, {"age.csv-metadata.json": csvw("age", note=2)})
    await run(tmp_path / "two")

    assert summary.taken == {"CSV-W documents": 1}
    assert await labels() == {"age": ["v1", "v2"], "sex": ["v1"], "size": ["v1"]}
    assert (await counts(database))["resources"] == 2


async def test_a_document_that_changed_is_a_new_version_wherever_it_lies(database: Database, tmp_path: Path) -> None:
    await run(write_files(tmp_path / "one", FILES))

    await run(write_files(tmp_path / "two", {"age.csv-metadata.json": csvw("age", note=2)}))

    assert await labels() == {"age": ["v1", "v2"], "sex": ["v1"]}


async def test_equal_documents_in_two_folders_are_two_datasets_whenever_the_second_appears(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path, {"b/age.csv-metadata.json": csvw("age"), "c/age.csv-metadata.json": csvw("age")})
    await run(tmp_path)
    write_files(tmp_path, {"a/age.csv-metadata.json": csvw("age")})

    summary = await run(tmp_path)

    assert summary.taken == {"CSV-W documents": 1}
    assert (await counts(database))["datasets"] == 3
    found = (await ask("{ resources { nodes { landingPage datasets { totalCount } } } }"))["resources"]["nodes"]
    assert {one["landingPage"]: one["datasets"]["totalCount"] for one in found} == {
        "urn:folder:a": 1,
        "urn:folder:b": 1,
        "urn:folder:c": 1,
    }


async def test_two_described_pipelines_with_one_document_have_a_dataset_each(
    database: Database, tmp_path: Path
) -> None:
    await run(write_files(tmp_path / "one", {"info.json": info("Births"), "age.csv-metadata.json": csvw("age")}))
    await run(write_files(tmp_path / "two", {"info.json": info("Deaths"), "age.csv-metadata.json": csvw("age")}))

    assert (await counts(database))["datasets"] == 2


async def test_what_an_earlier_release_keyed_by_the_folder_is_found_and_continued(
    database: Database, tmp_path: Path
) -> None:
    await run(write_files(tmp_path / "found here", FILES))
    await as_the_release_before(database, "found here")
    before = await counts(database)

    again = await run(write_files(tmp_path / "moved", FILES))
    changed = {"age.csv-metadata.json": csvw("age", note=2), "size.csv-metadata.json": csvw("size")}
    await run(write_files(tmp_path / "found here", changed))

    assert (again.taken, again.already) == ({}, {"CSV-W documents": 2})
    assert await labels() == {"age": ["v1", "v2"], "sex": ["v1"], "size": ["v1"]}
    assert (await counts(database))["resources"] == before["resources"]


async def test_what_lay_below_the_publisher_of_a_neighbour_is_found_from_elsewhere(
    database: Database, tmp_path: Path
) -> None:
    await run(write_files(tmp_path / "one", FILES))
    await as_the_release_before(database, "one")
    neighbour = {"url": "https://neighbour.example", "name": "Neighbour"}
    await database.organisations.update_one({}, {"$set": neighbour})

    again = await run(write_files(tmp_path / "two" / "deep", FILES) / "..")

    assert again.taken == {}
    assert await labels() == {"age": ["v1"], "sex": ["v1"]}


async def as_the_release_before(database: Database, folder: str) -> None:
    """Key what lies in no repository as release 0.1 did before folders had no names: by that of the imported one."""
    name, slug = folder.replace(" ", "%20"), folder.replace(" ", "-")
    await database.organisations.update_one(
        {"url": "urn:publisher:unknown"}, {"$set": {"url": f"urn:publisher:{slug}", "name": folder}}
    )
    async for row in database.resources.find({}):
        inside = row["landing_page"].removeprefix("urn:folder:").removeprefix(".")
        page, title = f"urn:folder:{name}/{inside}".rstrip("/"), f"{folder}/{inside}".rstrip("/")
        changed = {"landing_page": page, "title": title, "naturalKey": json.dumps([page, None, "title", title])}
        await database.resources.update_one({"_id": row["_id"]}, {"$set": changed})
    await database.datasets.update_many({}, {"$unset": {"subject": ""}})
    await database.idempotency_keys.delete_many({})
