"""The publisher of an imported document, by the nearest evidence."""

import json
from pathlib import Path
from typing import Any

import pytest

from documents.mongo.database import Database
from resolvers.imports.catalogue.importer import CatalogueSummary
from tests.support.catalogue import ask, counts, csvw
from tests.support.folders import PAGE, REPO, datasets, info, run, sources, version_digests, write_files

OWNER = {"url": "https://github.com/statistics", "name": "statistics"}
BUREAU = {"url": "urn:publisher:examples-bureau", "name": "Examples Bureau"}
OFFICE = {"dc:publisher": {"schema:name": "The Office", "schema:url": {"@id": "https://office.example/"}}}


def checkout() -> dict[str, str]:
    """The file in which git records where a folder was cloned from."""
    return {".git/config": f'[remote "origin"]\n\turl = https://github.com/{REPO}.git\n'}


async def publishers() -> dict[str, Any]:
    """The organisation of each dataset."""
    return {name: one["resource"]["organisation"] for name, one in (await datasets()).items()}


def reasons(summary: CatalogueSummary) -> set[tuple[str, str]]:
    """The adjusted files with their reasons, without those about commits, which no checkout here has."""
    return {(note.id, note.reason) for note in summary.adjustments if "commits" not in note.reason}


async def test_a_publisher_that_one_document_names_is_not_that_of_its_neighbours(
    database: Database, tmp_path: Path
) -> None:
    named = csvw("age", **OFFICE, **{"dcat:landingPage": "https://office.example/age"})
    write_files(tmp_path, checkout() | {"lists/age.csv-metadata.json": named})
    write_files(tmp_path, {f"lists/{name}.csv-metadata.json": csvw(name) for name in ("area", "sex", "size")})

    summary = await run(tmp_path)

    office = {"url": "https://office.example", "name": "The Office"}
    assert await publishers() == {"age": office, "area": OWNER, "sex": OWNER, "size": OWNER}
    pages = {name: one["resource"]["landingPage"] for name, one in (await datasets()).items()}
    assert pages["age"] == "https://office.example/age"
    assert pages["sex"] == f"https://github.com/{REPO}/tree/HEAD/lists"
    assert reasons(summary) == {("lists", "3 documents name no publisher; https://github.com/statistics is assumed.")}
    assert (await run(tmp_path)).taken == {}


async def test_the_document_speaks_before_its_info_json_and_that_before_the_repository(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path, checkout() | {"p/info.json": info(), "q/x.csv-metadata.json": csvw("x")})
    write_files(tmp_path, {"p/age.csv-metadata.json": csvw("age", **OFFICE), "p/sex.csv-metadata.json": csvw("sex")})

    summary = await run(tmp_path)

    office = {"url": "https://office.example", "name": "The Office"}
    assert await publishers() == {"age": office, "sex": BUREAU, "x": OWNER}
    assert {one["resource"]["title"] for one in (await datasets()).values()} == {"Births", "births-family/q"}
    assert summary.taken == {"CSV-W documents": 3, "info.json files": 1}
    again = await run(tmp_path)
    assert (again.taken, again.already) == ({}, {"CSV-W documents": 3, "info.json files": 1})


async def test_a_link_in_markdown_is_the_address_of_the_publisher(database: Database, tmp_path: Path) -> None:
    page = "https://www.gov.example/office"
    linked = info(publisher=f"[Office for Examples]({page}/)", landingPage=f"[here]({PAGE})")
    write_files(tmp_path, {"p/info.json": linked, "p/age.csv-metadata.json": csvw("age")})

    await run(tmp_path)

    assert await publishers() == {"age": {"url": page, "name": "Office for Examples"}}
    assert (await datasets())["age"]["resource"]["landingPage"] == PAGE


@pytest.mark.parametrize(
    ("publisher", "why"),
    [
        ("Births", "it is the title of a dataset"),
        ("Deaths: 2018", "it is the title of a dataset"),
        ("Trade by area, 2019 edition", "it is the title of a dataset"),
        ("statistics@office.example", "it is an e-mail address"),
        ("n/a", "it says that there is none"),
        ("2021", "it has no letter in it"),
        ("A very long sentence. " * 10, "it has more than 200 characters"),
        ("https://office.example/" + "x" * 2_000, "its address has more than 2,000 characters"),
    ],
)
async def test_what_can_be_no_publisher_is_reported_and_not_made_into_one(
    database: Database, tmp_path: Path, publisher: str, why: str
) -> None:
    write_files(tmp_path, checkout() | {"p/info.json": info(publisher=publisher)})
    write_files(tmp_path, {"p/age.csv-metadata.json": csvw("age", **OFFICE), "p/sex.csv-metadata.json": csvw("sex")})
    write_files(
        tmp_path, {"q/deaths.csv-metadata.json": csvw("deaths", **{"dc:title": "Deaths", "dc:publisher": publisher})}
    )

    summary = await run(tmp_path)

    office = {"url": "https://office.example", "name": "The Office"}
    assert await publishers() == {"age": office, "sex": OWNER, "deaths": OWNER}
    said = {file: reason for file, reason in reasons(summary) if "is not a publisher" in reason}
    assert set(said) == {"p/info.json", "q/deaths.csv-metadata.json"}
    assert all(f"is not a publisher, because {why}; " in reason for reason in said.values())
    assert said["p/info.json"].endswith("https://github.com/statistics is assumed.")
    assert (await counts(database))["organisations"] == 2


@pytest.mark.parametrize("name", ["\u202e" * 300, "x" * 1_000, "n/a", "Births: 2018", "2021"])
async def test_what_can_be_no_name_of_a_publisher_with_an_address_is_left_out(
    database: Database, tmp_path: Path, name: str
) -> None:
    publisher = {"dc:publisher": {"schema:name": name, "schema:url": "https://office.example/"}}
    write_files(tmp_path, checkout() | {"p/age.csv-metadata.json": csvw("age", **publisher)})

    await run(tmp_path)

    assert await publishers() == {"age": {"url": "https://office.example", "name": None}}


async def test_where_nothing_tells_the_publisher_is_unknown(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path / "births-2020", {"age.csv-metadata.json": csvw("age")})

    summary = await run(tmp_path / "births-2020")

    assert await publishers() == {"age": {"url": "urn:publisher:unknown", "name": None}}
    assert ("age.csv-metadata.json", "It names no publisher; urn:publisher:unknown is assumed.") in reasons(summary)


async def test_a_document_that_names_another_publisher_than_before_stays_in_its_dataset(
    database: Database, tmp_path: Path
) -> None:
    file = "lists/age.csv-metadata.json"
    write_files(tmp_path, checkout() | {file: csvw("age")})
    await run(tmp_path)
    write_files(tmp_path, {file: csvw("age", **OFFICE)})

    summary = await run(tmp_path)

    assert [label for label, _ in version_digests((await datasets())["age"])] == ["v1", "v2"]
    assert await publishers() == {"age": OWNER}
    assert (await counts(database))["organisations"] == 1
    stays = "It stays with https://github.com/statistics, who published it first, not https://office.example."
    assert reasons(summary) == {(file, stays)}


async def test_what_was_published_below_a_neighbours_publisher_is_found_and_continued(
    database: Database, tmp_path: Path
) -> None:
    write_files(
        tmp_path, checkout() | {f"lists/{name}.csv-metadata.json": csvw(name, **OFFICE) for name in ("age", "sex")}
    )
    await run(tmp_path)
    write_files(tmp_path, {"lists/sex.csv-metadata.json": csvw("sex"), "lists/new.csv-metadata.json": csvw("new")})

    summary = await run(tmp_path)

    office = {"url": "https://office.example", "name": "The Office"}
    assert await publishers() == {"age": office, "sex": office, "new": OWNER}
    assert [label for label, _ in version_digests((await datasets())["sex"])] == ["v1", "v2"]
    assert summary.taken == {"CSV-W documents": 2}
    assert (await run(tmp_path)).taken == {}


async def test_every_resource_of_a_pipeline_keeps_its_info_json(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, sources())
    files = {"age.csv-metadata.json": csvw("age", **OFFICE), "sex.csv-metadata.json": csvw("sex")}
    write_files(tmp_path / "births-family/datasets/births", files | {"info.json": info(notes="old")})
    await run(tmp_path)
    write_files(tmp_path / "births-family/datasets/births", {"info.json": info(notes="new")})

    summary = await run(tmp_path)

    resources = (await ask("{ resources { nodes { info codeRepo { source { path } } } } }"))["resources"]["nodes"]
    assert [one["info"] for one in resources] == [json.loads(info(notes="new"))] * 2
    assert [len(one["codeRepo"]["source"]) for one in resources] == [2, 2]
    assert summary.taken == {"info.json files": 1}


MARKDOWN = "[Office for Examples](https://office.example/)"
INVENTED = "https://www.gov.uk/government/organisations/office-for-examples-https-office-example"


async def as_the_release_before(database: Database, url: str, name: str) -> None:
    """Put every resource under the organisation that an earlier release made of an info.json."""
    made = await database.organisations.find_one_and_update(
        {}, {"$set": {"url": url, "name": name}}, return_document=True
    )
    assert made is not None
    await database.resources.update_many({}, {"$set": {"organisationRef": made["_id"]}})
    await database.organisations.delete_many({"_id": {"$ne": made["_id"]}})
    await database.datasets.update_many({}, {"$unset": {"subject": ""}})
    await database.idempotency_keys.delete_many({})


@pytest.mark.parametrize(
    ("publisher", "made", "document", "owner"),
    [
        (MARKDOWN, INVENTED, {}, {"url": "https://office.example", "name": "Office for Examples"}),
        ("Births: 2018", "urn:publisher:births-2018", {}, OWNER),
        ("Births: 2018", "urn:publisher:births-2018", OFFICE, {"url": "https://office.example", "name": "The Office"}),
    ],
)
async def test_what_an_earlier_release_made_of_no_publisher_is_put_right_by_importing_again(
    database: Database,
    tmp_path: Path,
    publisher: str,
    made: str,
    document: dict[str, Any],
    owner: dict[str, str],
) -> None:
    files = {"p/info.json": info(publisher=publisher), "p/age.csv-metadata.json": csvw("age", **document)}
    write_files(tmp_path, checkout() | files)
    await run(tmp_path)
    await as_the_release_before(database, made, publisher)

    summary = await run(tmp_path)
    write_files(tmp_path, {"p/new.csv-metadata.json": csvw("new", **document)})
    await run(tmp_path)

    assert await publishers() == {"age": owner, "new": owner}
    moved = f"Its resource moves from {made}, which is not a publisher, to {owner['url']}."
    assert ("p/info.json", moved) in reasons(summary)
    assert summary.taken == {}
    assert (await counts(database))["resources"] == 1


@pytest.mark.parametrize("url", ["https://decided.example", "urn:publisher:examples-bureau"])
async def test_a_publisher_that_somebody_decided_on_or_info_json_names_is_left(
    database: Database, tmp_path: Path, url: str
) -> None:
    write_files(tmp_path, checkout() | {"p/info.json": info(), "p/age.csv-metadata.json": csvw("age", **OFFICE)})
    await run(tmp_path)
    await as_the_release_before(database, url, "Decided")

    summary = await run(tmp_path)

    assert await publishers() == {"age": {"url": url, "name": "Decided"}}
    assert summary.taken == {}
    assert (await counts(database))["resources"] == 1
