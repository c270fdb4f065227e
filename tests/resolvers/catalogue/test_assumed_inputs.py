"""Inputs that are assumed for runs whose reports do not say what they used, by the documents that they report."""

import json
from typing import Any

import pytest

from documents.mongo.database import Database
from documents.storage.bucket import public_origin
from resolvers.access.viewer import ANONYMOUS
from tests.support import runs
from tests.support.asking import WORKER
from tests.support.catalogue import REQUEST, Answer, ask, code_repo, csvw, do, ingest
from tests.support.clock import Clock

FILES, CODES = "https://files.example", "http://codes.example"
CSVCUBED = "https://github.com/GSS-Cogs/csvcubed"
USED = """query ($id: ID!) { transform(id: $id) { used(first: 100) { nodes {
  ... on ExternalData { id url } ... on Distribution { id version { id } } } }
  lineage(direction: UPSTREAM, depth: 1) { edges { fromId isAssumed } } } }"""


def refers_to(*tables: str) -> Answer:
    """The schema of a table with a foreign key to each of these."""
    return {"columns": [], "foreignKeys": [{"columnReference": "a", "reference": {"resource": url}} for url in tables]}


async def publish(name: str, url: str = "", **facts: Any) -> str:
    """Publish a document of a pipeline of its own; returns the id of its distribution."""
    text = csvw(name, url=url or f"{name}.csv", **facts)
    payload = await ingest(codeRepo=code_repo(f"datasets/{name}"), distributions=[{"csvwText": text}])
    assert payload["userErrors"] == []
    return str(payload["published"][0]["id"])


async def used_by(database: Database, payload: Answer) -> list[tuple[str, bool]] | None:
    """What the reported run used, and whether that is assumed: URLs of data elsewhere, ids of versions here.

    None where nobody knows, which no list of nodes tells.
    """
    assert payload["userErrors"] == []
    id = payload["transform"]["id"]
    if await database["transforms"].find_one({"_id": id, "used": None}):
        return None
    found = (await ask(USED, ANONYMOUS, id=id))["transform"]
    assumed = {edge["fromId"] for edge in found["lineage"]["edges"] if edge["isAssumed"]}
    return [(node.get("url") or node["version"]["id"], node["id"] in assumed) for node in found["used"]["nodes"]]


async def test_the_sources_of_info_json_and_documents_are_assumed_in_their_order(database: Database) -> None:
    info = {"title": "Births", "dataURL": f"{FILES}/births.xls", "notes": f"See {FILES}/notes.csv."}
    facts = {"tableSchema": refers_to(f"{CODES}/sex.csv"), "prov:derivedFrom": {"@id": f"{FILES}/births.pdf"}}

    payload = await ingest(info=info, distributions=[{"csvwText": csvw("births", **facts)}])

    files = [f"{FILES}/births.xls", f"{FILES}/notes.csv", f"{CODES}/sex.csv", f"{FILES}/births.pdf"]
    assert await used_by(database, payload) == [(url, True) for url in files]


async def test_what_the_report_says_goes_before_what_is_assumed(database: Database) -> None:
    info = {"title": "Births", "dataURL": f"{FILES}/births.xls"}

    nothing = await ingest(info=info, used=[])
    something = await ingest(info=info, used=[{"url": f"{FILES}/other.xls"}])
    unsaid = await ingest(info=info, used=None)

    assert await used_by(database, nothing) == []
    assert await used_by(database, something) == [(f"{FILES}/other.xls", True)]
    assert await used_by(database, unsaid) == [(f"{FILES}/births.xls", True)]
    assert await database["external_data"].count_documents({}) == 2


async def test_a_run_without_an_info_json_has_the_sources_of_the_stored_one_and_without_any_nobody_knows(
    database: Database,
) -> None:
    unknown = await ingest()
    await ingest(info={"title": "Births", "dataURL": f"{FILES}/births.xls"})

    again = await ingest()

    assert await used_by(database, unknown) is None
    assert await used_by(database, again) == [(f"{FILES}/births.xls", True)]


async def test_a_table_published_here_stands_for_its_version_at_that_time(database: Database, clock: Clock) -> None:
    url = f"{CODES}/sex.csv"
    early = await ingest(distributions=[{"csvwText": csvw("births", tableSchema=refers_to(url))}])
    clock.forward(1)
    first = await publish("sex", "HTTP://Codes.example:80/sex.csv#table")
    clock.forward(1)
    middle = await ingest(distributions=[{"csvwText": csvw("births", tableSchema=refers_to(url), n=2)}])
    clock.forward(1)
    second = await publish("sex", url, n=2)
    clock.forward(1)
    late = await ingest(distributions=[{"csvwText": csvw("births", tableSchema=refers_to(url), n=2)}])

    assert await used_by(database, early) == [(url, True)]
    assert await used_by(database, middle) == [(first, True)]
    assert await used_by(database, late) == [(second, True)]


async def test_tables_that_the_run_made_are_no_inputs_and_those_of_an_earlier_run_are(database: Database) -> None:
    births = csvw("births", tableSchema=refers_to("age.csv", f"{CODES}/sex.csv", "births.csv", "gone.csv"))
    age, sex = csvw("age"), csvw("sex", url=f"{CODES}/sex.csv")

    together = await ingest(distributions=[{"csvwText": text} for text in (births, age, sex)])
    alone = await ingest(distributions=[{"csvwText": births}])

    assert await used_by(database, together) is None
    _, of_age, of_sex = (version["id"] for version in together["published"])
    assert await used_by(database, alone) == [(of_age, True), (of_sex, True)]


async def test_tables_with_relative_addresses_are_those_of_the_resource_in_that_folder(database: Database) -> None:
    await publish("age")
    await ingest(distributions=[{"csvwText": csvw("age", url="codelists/age.csv")}])

    wrong_folder = await ingest(distributions=[{"csvwText": csvw("births", tableSchema=refers_to("lists/age.csv"))}])
    same_folder = await ingest(distributions=[{"csvwText": csvw("births", tableSchema=refers_to("codelists/age.csv"))}])

    assert await used_by(database, wrong_folder) is None
    assert await database["external_data"].count_documents({}) == 0
    assert len(await used_by(database, same_folder) or []) == 1


@pytest.mark.parametrize("path", ["/distributions/{distribution}/csvw", "/datasets/{dataset}/latest"])
async def test_addresses_of_this_server_stand_for_its_documents(database: Database, path: str) -> None:
    version = await publish("age")
    row = await database["dataset_versions"].find_one({"_id": version})
    assert row is not None
    address = path.format(distribution=row["distributionRef"], dataset=row["datasetRef"])
    info = {"title": "Births", "dataURL": [f"{CODES}{address}", f"{CODES}/datasets/dataset_0/latest"]}

    elsewhere = await ingest(info=info)
    token = public_origin.set(lambda: CODES)
    here = await ingest(info=info)
    public_origin.reset(token)

    assert await used_by(database, elsewhere) == [(url, True) for url in info["dataURL"]]
    assert await used_by(database, here) == [(version, True), (f"{CODES}/datasets/dataset_0/latest", True)]


async def test_secrets_are_stored_nowhere(database: Database) -> None:
    links = [f"{FILES}/a.csv?sig=s3cr3t&v=1", "https://ada:s3cr3t@files.example/b?access_token=s3cr3t&rlkey=s3cr3t"]
    document = {"prov:derivedFrom": {"@id": links[0]}, "tableSchema": refers_to(links[1])}

    payload = await ingest(distributions=[{"csvwText": csvw("births", **document)}])

    assert await used_by(database, payload) == [(f"{FILES}/b", True), (f"{FILES}/a.csv?v=1", True)]


async def test_the_release_of_a_tool_is_code_of_the_run(database: Database) -> None:
    used = [{"@id": f"{CSVCUBED}/releases/tag/v0.4.10"}]
    made = {"prov:wasGeneratedBy": {"@id": "#build", "prov:used": used}}

    payload = await ingest(distributions=[{"csvwText": csvw(name, **made)} for name in ("births", "deaths")])

    run = await database["transforms"].find_one({"_id": payload["transform"]["id"]})
    assert run is not None
    assert [(one["repository"], one["path"], one["commit"]) for one in run["code"]] == [
        ("https://code.example/family", "datasets/births/main.py", "a1" * 20),
        ("https://code.example/family", "datasets/births/info.json", "b2" * 20),
        (CSVCUBED, None, "v0.4.10"),
    ]
    assert run["used"] is None


@pytest.mark.parametrize("known", [None, [], [{"ref": "output_1", "assumed": False}]])
async def test_a_claimed_transform_gets_what_nobody_has_said_yet(
    database: Database, known: list[Answer] | None
) -> None:
    resource = (await ingest())["resource"]["id"]
    id = (await do(REQUEST, resourceId=resource))["transform"]["id"]
    await runs.claim(WORKER, kinds=["TRANSFORM"])
    await database["transforms"].update_one({"_id": id}, {"$set": {"used": known}})
    made = {"prov:wasGeneratedBy": {"prov:used": f"{CSVCUBED}/releases/tag/v0.4.10"}}
    report: Answer = {
        "info": {"dataURL": f"{FILES}/births.xls"},
        "distributions": [{"csvwText": csvw("births", **made)}],
    }

    refused = await ingest(**report, transformId=id, landingPage="https://statistics.example/deaths")
    payload = await ingest(**report, transformId=id)

    assert [error["path"] for error in refused["userErrors"]] == [["input", "transformId"]]
    assert payload["userErrors"] == []
    run = await database["transforms"].find_one({"_id": id})
    assert run is not None
    assert [reference["commit"] for reference in run["code"]] == ["a1" * 20, "b2" * 20, "v0.4.10"]
    assert await database["external_data"].count_documents({}) == (known is None)
    assert run["used"] == known if known is not None else len(run["used"]) == 1


async def test_an_info_json_of_any_shape_is_kept_and_names_nothing(database: Database) -> None:
    payload = await ingest(info=["dataURL", json.loads("1")])

    assert await used_by(database, payload) is None
