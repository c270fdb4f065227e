"""The choice of the dataset for an imported document, over several imports."""

from pathlib import Path

from documents.mongo.database import Database
from tests.support.catalogue import ask, counts, csvw, do, ingest
from tests.support.folders import PAGE, datasets, info, run, version_digests, write_files

CREATE_DATASET = """mutation ($input: CreateDatasetInput!) { createDataset(input: $input) {
  dataset { id } userErrors { message } } }"""


async def labels() -> dict[str, list[str]]:
    """The labels of each dataset's versions."""
    return {name: [label for label, _ in version_digests(one)] for name, one in (await datasets()).items()}


async def test_documents_of_one_name_in_two_folders_are_two_datasets_also_one_after_the_other(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path, {"info.json": info(), "2019/data.csv-metadata.json": csvw("data", note=2019)})
    await run(tmp_path)
    (tmp_path / "2019/data.csv-metadata.json").unlink()
    write_files(tmp_path, {"2020/data.csv-metadata.json": csvw("data", note=2020)})

    summary = await run(tmp_path)
    write_files(
        tmp_path, {f"{year}/data.csv-metadata.json": csvw("data", note=f"{year} again") for year in (2019, 2020)}
    )
    await run(tmp_path)

    assert await labels() == {"data": ["v1", "v2"], "2020-data": ["v1", "v2"]}
    said = "Its dataset is called 2020-data: 2 documents of its pipeline are named data."
    assert [(note.id, note.reason) for note in summary.adjustments] == [("2020/data.csv-metadata.json", said)]


async def test_a_document_that_says_that_it_is_about_another_thing_begins_another_dataset(
    database: Database, tmp_path: Path
) -> None:
    said = [
        {"url": "2019/data.csv"},
        {"url": "2020/data.csv"},
        {"url": "data.csv", "@id": "https://data.example/births"},
        {"url": "data.csv", "@id": "https://data.example/deaths"},
        {"url": "2020/data.csv"},
    ]
    for number, facts in enumerate(said):
        write_files(tmp_path, {"info.json": info(), "data-metadata.json": csvw("x", **facts, note=number)})
        await run(tmp_path)

    assert await labels() == {"data": ["v1"], "2020-data": ["v1", "v2"], "births-data": ["v1"], "deaths-data": ["v1"]}


async def test_an_identifier_in_the_document_counts_wherever_it_lies(database: Database, tmp_path: Path) -> None:
    for year in (2019, 2020):
        said = {"dc:identifier": "births", "note": year}
        write_files(
            tmp_path / str(year), {"info.json": info(), f"{year}/x.csv-metadata.json": csvw(f"{year}/x", **said)}
        )
        await run(tmp_path / str(year))

    assert await labels() == {"births": ["v1", "v2"]}


async def test_a_document_that_moved_is_found_by_its_bytes(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, {"info.json": info(), "out/age.csv-metadata.json": csvw("age")})
    await run(tmp_path)
    (tmp_path / "out").rename(tmp_path / "lists")

    summary = await run(tmp_path)
    write_files(tmp_path, {"lists/age.csv-metadata.json": csvw("age", note=2)})
    await run(tmp_path)

    assert summary.taken == {}
    assert list((await labels()).values()) == [["v1", "v2"]]


async def test_names_of_files_are_read_without_their_percent_encoding(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, {"info.json": info(), "my%20data.csv-metadata.json": csvw("my%20data")})
    await run(tmp_path)
    (tmp_path / "my%20data.csv-metadata.json").unlink()
    write_files(tmp_path, {"my data.csv-metadata.json": csvw("my data")})

    await run(tmp_path)

    assert list(await labels()) == ["my-data"]


async def test_datasets_of_earlier_releases_are_found_under_their_names(database: Database, tmp_path: Path) -> None:
    files = {"my%20data.csv-metadata.json": csvw("my%20data"), "x/age.csv-metadata.json": csvw("age")}
    write_files(tmp_path, {"info.json": info()} | files | {"y/age.csv-metadata.json": csvw("age", note="y")})
    await run(tmp_path)
    await database.datasets.update_one({"identifier": "my-data"}, {"$set": {"identifier": "my-20data"}})
    await database.datasets.update_many({}, {"$unset": {"subject": ""}})
    await database.idempotency_keys.delete_many({})

    again = await run(tmp_path)
    write_files(tmp_path, {"my%20data.csv-metadata.json": csvw("my%20data", note=2)})
    write_files(tmp_path, {"y/age.csv-metadata.json": csvw("age", note="y again")})
    await run(tmp_path)

    assert again.taken == {}
    assert await labels() == {"my-20data": ["v1", "v2"], "x-age": ["v1"], "y-age": ["v1", "v2"]}


async def test_versions_that_an_earlier_release_mixed_up_are_taken_apart(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, {"info.json": info(), "data.csv-metadata.json": csvw("data", note=2019)})
    await run(tmp_path)
    write_files(tmp_path, {"data.csv-metadata.json": csvw("data", note=2020)})
    await run(tmp_path)
    await database.datasets.update_many({}, {"$unset": {"subject": ""}})
    (tmp_path / "data.csv-metadata.json").unlink()
    write_files(tmp_path, {f"{year}/data.csv-metadata.json": csvw("data", note=year) for year in (2019, 2020)})

    await run(tmp_path)

    found = await datasets()
    assert await labels() == {"data": ["v1", "v2"], "2019-data": ["v1"]}
    assert version_digests(found["2019-data"])[0][1] == version_digests(found["data"])[0][1]


async def test_a_dataset_whose_name_a_client_chose_is_found_by_name_and_by_bytes(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path, {"info.json": info()})
    await run(tmp_path)
    (resource,) = (await ask("{ resources { nodes { id } } }"))["resources"]["nodes"]
    await do(CREATE_DATASET, resourceId=resource["id"], identifier="age", title="Given")
    reported = await ingest(
        organisationUrl="urn:publisher:examples-bureau",
        landingPage=PAGE,
        codeRepo={"provider": "OTHER"},
        resourceTitle="Births",
        distributions=[{"dataset": "Chosen Name", "csvwText": csvw("sex")}],
    )
    write_files(tmp_path, {"age.csv-metadata.json": csvw("age"), "sex.csv-metadata.json": csvw("sex")})

    await run(tmp_path)
    write_files(tmp_path, {"sex.csv-metadata.json": csvw("sex", note=2)})
    await run(tmp_path)

    assert reported["resource"] == resource
    assert await labels() == {"age": ["v1"], "Chosen Name": ["v1", "v2"]}
    assert (await counts(database))["resources"] == 1
