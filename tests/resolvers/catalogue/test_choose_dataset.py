"""The choice of the dataset for a reported document."""

from typing import Any

import pytest

from documents.mongo.database import Database
from tests.support.catalogue import Answer, ask, counts, csvw, do, ingest

pytestmark = pytest.mark.usefixtures("database")

CREATE_DATASET = """mutation ($input: CreateDatasetInput!) { createDataset(input: $input) {
  dataset { id } userErrors { message } } }"""
SECRET = "X-Amz-Credential=AKIA&X-Amz-Signature=5ec3e7&token=7ea5e"


async def reported(*documents: Answer) -> Answer:
    """Report these documents; returns the payload."""
    payload = await ingest(distributions=list(documents))
    assert payload["userErrors"] == []
    return payload


def document(url: str, **facts: Any) -> Answer:
    """A document whose table has this address."""
    return {"csvwText": csvw("x", **({"url": url} | facts))}


async def datasets() -> dict[str, int]:
    """The number of versions of each dataset, by identifier."""
    found = await ask("{ datasets { nodes { identifier versions { totalCount } } } }")
    return {one["identifier"]: one["versions"]["totalCount"] for one in found["datasets"]["nodes"]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (document("my data é.csv"), document("my%20data%20%C3%A9.csv")),
        (document("births.csv"), document("./births.csv")),
        (document("births.csv"), document("https://data.example/2020/births.csv")),
        (document("births.csv?v=1"), document("births.csv?v=2&token=abc")),
        (document("births.csv", **{"@id": "#table"}), document("births.csv", **{"@id": "https://data.example/x"})),
        (
            document("age.csv", **{"@id": "http://data.example/family#scheme/age"}),
            document("age.csv", **{"@id": "http://data.example/other/family/age"}),
        ),
        (
            document("2019/data.csv", **{"dc:identifier": "births"}),
            document("2020/data.csv", **{"dc:identifier": "births"}),
        ),
    ],
)
async def test_one_thing_spelled_in_two_ways_is_one_dataset(one: Answer, other: Answer) -> None:
    await reported(one)
    await reported(other)

    assert list((await datasets()).values()) == [2]


@pytest.mark.parametrize(
    ("one", "other", "name", "longer"),
    [
        (document("2019/data.csv"), document("2020/data.csv"), "data", "2020-data"),
        (document("data.csv"), document("2020/data.csv"), "data", "2020-data"),
        (document("https://a.example/data.csv"), document("https://b.example/data.csv"), "data", "b-example-data"),
        (document("get?file=births"), document("get?file=deaths"), "get", "get-file-deaths"),
        (document(f"get?a=1&{SECRET}"), document(f"get?a=2&{SECRET}"), "get", "get-a-2"),
        (
            document("data.csv", **{"@id": "https://data.example/births"}),
            document("data.csv", **{"@id": "https://data.example/deaths"}),
            "data",
            "deaths-data",
        ),
        (
            document("births.csv", **{"@id": "https://data.example/2019/births"}),
            document("births.csv", **{"@id": "https://data.example/2020/births"}),
            "births",
            "2020-births",
        ),
        (
            document("births.csv", **{"@id": "https://a.example/births"}),
            document("births.csv", **{"@id": "https://b.example/births"}),
            "births",
            "b-example-births",
        ),
    ],
)
async def test_what_its_address_calls_another_thing_is_another_dataset(
    one: Answer, other: Answer, name: str, longer: str
) -> None:
    await reported(one)
    await reported(other)
    for again in (other, one):
        assert (await reported(again))["published"] == []
    await reported({"csvwText": one["csvwText"] + "\n"}, {"csvwText": other["csvwText"] + "\n"})

    assert await datasets() == {name: 2, longer: 2}


async def test_one_report_may_hold_documents_of_one_name_about_several_things() -> None:
    payload = await reported(*(document(f"{year}/data.csv") for year in (2019, 2020, 2021)))

    assert [one["label"] for one in payload["published"]] == ["v1", "v1", "v1"]
    assert await datasets() == {"data": 1, "2020-data": 1, "2021-data": 1}


async def test_a_longer_name_that_is_taken_as_well_gives_way_to_a_hash() -> None:
    await reported(document("2019/data.csv"), document("2020-data.csv"))
    await reported(document("2020/data.csv"))
    await reported(document("2020/data.csv", note=2))

    found = await datasets()
    (hashed,) = found.keys() - {"data", "2020-data"}
    assert hashed.startswith("data-")
    assert found == {"data": 1, "2020-data": 1, hashed: 2}


async def test_the_name_in_a_report_counts_whatever_the_document_says() -> None:
    for year in (2019, 2020):
        await reported({"dataset": "births", **document(f"{year}/data.csv")})

    assert await datasets() == {"births": 2}


@pytest.mark.parametrize("named", [{}, {"dataset": "births"}], ids=["by its document", "by its name"])
async def test_a_report_of_one_resource_leaves_the_datasets_of_others_as_they_are(
    database: Database, named: Answer
) -> None:
    await reported(named | document("births.csv"), named | document("deaths.csv", note=2) | {"dataset": "deaths"})
    before = await everything(database)

    payload = await ingest(
        landingPage="https://another.example", distributions=[named | document("births.csv", note=3)]
    )

    after = await everything(database)
    assert (payload["userErrors"], [one["label"] for one in payload["published"]]) == ([], ["v1"])
    assert {id: after[id] for id in before} == before
    assert sorted(row["identifier"] for row in after.values() if "identifier" in row) == ["births", "births", "deaths"]


async def everything(database: Database) -> dict[str, Any]:
    """All datasets and their versions by id."""
    kept = (database.datasets, database.dataset_versions)
    return {row["_id"]: row for collection in kept for row in await collection.find().to_list()}


async def test_a_dataset_that_a_client_made_is_found_by_its_name() -> None:
    resource = (await ingest(distributions=[]))["resource"]["id"]
    await do(CREATE_DATASET, resourceId=resource, identifier="births", title="Given")

    await reported(document("out/births.csv?file=births", **{"@id": "https://data.example/births/2020"}))

    assert await datasets() == {"births": 1}


async def test_datasets_of_earlier_releases_are_found_under_their_names(database: Database) -> None:
    await reported(
        {"dataset": "my-20data", **document("my%20data.csv")}, {"dataset": "data", **document("2020/data.csv")}
    )
    await database.datasets.update_many({}, {"$unset": {"subject": ""}})

    await reported(document("my data.csv"), document("2020/data.csv", note=2), document("2019/data.csv"))

    assert await datasets() == {"my-20data": 2, "data": 2, "2019-data": 1}


async def test_no_secret_of_an_address_is_stored(database: Database) -> None:
    await reported(document("https://worker:pa55@data.example/a/data.csv?a=1&" + SECRET, **{"dc:title": "a"}))
    await reported(document("https://worker:pa55@data.example/b/data.csv?a=1&" + SECRET, **{"dc:title": "b"}))

    rows = repr(await database.datasets.find({}).to_list())
    assert not any(secret in rows for secret in ("pa55", "AKIA", "5ec3e7", "7ea5e"))


async def test_no_name_left_is_said_and_nothing_is_written(database: Database) -> None:
    names = ["data", "2020-data"]
    await reported({"dataset": "data", **document("2019/data.csv")}, {"dataset": "2020-data", **document("1.csv")})
    await reported(document("2020/data.csv"))
    (hashed,) = (await datasets()).keys() - set(names)
    await reported({"dataset": hashed, **document("1.csv", note=2)})
    before = await counts(database)

    payload = await ingest(distributions=[document("2020/data.csv", note=3)])

    (error,) = payload["userErrors"]
    assert error["path"] == ["input", "distributions", "0", "dataset"]
    assert await counts(database) == before
