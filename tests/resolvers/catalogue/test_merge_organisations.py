"""Merging organisations that were made by mistake, as a client does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import documents
from documents.catalogue.resource import CodeRepo
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.catalogue import find_or_create, merge_organisations
from resolvers.catalogue import resource as resources
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import everything_kept, keep
from tests.support.catalogue import counts, csvw, ingest
from tests.support.folders import datasets, info, run, write_files
from tests.support.patience import within
from tests.support.runs import do, refusals

pytestmark = pytest.mark.usefixtures("database")

RIGHT, WRONG = "https://office.example", "https://births.example"
UNKNOWN = "organisation_ffffffffffffffffffffffff"
EVERY_WAY = """query($id: ID!, $url: String!, $where: ResourceWhere) {
  node(id: $id) { id } nodes(ids: [$id]) { id } by_id: organisation(id: $id) { id }
  by_url: organisation(url: $url) { id }
  resources(where: $where) { nodes { organisation { id } } } }"""


def an_organisation(url: str, *pages: str) -> list[Any]:
    """An organisation with a resource for each landing page."""
    organisation = documents.Organisation(url=url)
    code = CodeRepo(url="https://code.example")
    resources = [
        documents.Resource(organisation_ref=organisation.id, landing_page=page, code_repo=code).with_natural_key()
        for page in pages
    ]
    return [organisation, *resources]


async def merge(into: str, *duplicates: str, viewer: Viewer = ADMIN, **given: Any) -> Any:
    """Merge organisations; returns the payload."""
    what = "organisation { id revision resources { nodes { landingPage } } }"
    return await do("mergeOrganisations", what, viewer, id=into, duplicateIds=list(duplicates), **given)


async def two_organisations() -> tuple[str, str]:
    """The ids of the right organisation and of one made by mistake, of one resource each."""
    right, wrong = (
        an_organisation(RIGHT, "https://office.example/1"),
        an_organisation(WRONG, "https://office.example/2"),
    )
    await keep(*right, *wrong)
    return right[0].id, wrong[0].id


async def test_the_right_organisation_takes_over_the_resources_of_the_others() -> None:
    right, wrong = await two_organisations()

    found = await merge(right, wrong)

    pages = [{"landingPage": "https://office.example/1"}, {"landingPage": "https://office.example/2"}]
    shown = {"id": right, "revision": 2, "resources": {"nodes": pages}}
    assert found == {"organisation": shown, "userErrors": []}
    assert (await ask("{ organisations { nodes { id } } }"))["organisations"]["nodes"] == [{"id": right}]
    revisions = {row["landing_page"]: row["revision"] for row in (await everything_kept())["resources"]}
    assert revisions == {"https://office.example/1": 1, "https://office.example/2": 2}


async def test_old_ids_and_urls_lead_to_the_new_organisation_also_over_several_merges() -> None:
    right, wrong = await two_organisations()
    await keep(*(third := an_organisation("https://third.example")))

    await merge(right, wrong)
    await merge(third[0].id, right)

    for id, url in ((wrong, WRONG), (right, RIGHT), (third[0].id, "https://third.example")):
        found = await ask(EVERY_WAY, id=id, url=url, where={"organisationId": {"eq": id}})
        present = {"id": third[0].id}
        assert [found["node"], *found["nodes"], found["by_id"], found["by_url"]] == [present] * 4
        assert found["resources"]["nodes"] == [{"organisation": present}] * 2


async def test_old_and_new_ids_stand_beside_each_other_and_unknown_ones_stay_unknown() -> None:
    right, wrong = await two_organisations()
    await merge(right, wrong)
    query = """query($ids: [ID!]!, $in: [ID!]!) { nodes(ids: $ids) { id }
      resources(where: { organisationId: { in: $in } }) { totalCount } }"""

    found = await ask(query, ids=[wrong, UNKNOWN, right, wrong], **{"in": [UNKNOWN, wrong]})

    assert found == {"nodes": [{"id": right}, None, {"id": right}, {"id": right}], "resources": {"totalCount": 2}}


async def test_an_organisation_that_is_there_is_found_by_one_read(round_trips: RoundTrips) -> None:
    right, wrong = await two_organisations()
    await merge(right, wrong)
    by_id = "query($id: ID!) { organisation(id: $id) { id } }"

    with round_trips.counting() as there:
        await ask(by_id, id=right)
    with round_trips.counting() as moved:
        await ask(by_id, id=wrong)

    assert there == [("find", "organisations")]
    assert moved == [("find", "organisations"), ("find", "former_organisations"), ("find", "organisations")]


async def test_writes_and_reports_that_name_an_old_organisation_mean_the_new_one() -> None:
    right, wrong = await two_organisations()
    await merge(right, wrong)

    made = await do("createResource", "resource { organisation { id } }", WORKER, organisationId=wrong, title="new")
    renamed = await do("updateOrganisation", "organisation { id name }", WORKER, id=wrong, name="Office")
    again = await do("createOrganisation", "organisation { id }", WORKER, url=WRONG)
    reported = await ingest(organisationUrl=WRONG)

    assert made["resource"]["organisation"] == {"id": right}
    assert renamed["organisation"] == {"id": right, "name": "Office"}
    assert refusals(again) == [("ALREADY_EXISTS", ["input", "url"])]
    kept = await everything_kept()
    assert reported["userErrors"] == []
    assert {row["organisationRef"] for row in kept["resources"]} == {right}
    assert len(kept["organisations"]) == 1


async def test_merging_again_changes_nothing() -> None:
    right, wrong = await two_organisations()
    await merge(right, wrong)
    kept = await everything_kept()

    again = await merge(right, wrong)
    by_the_old_id = await merge(wrong, wrong)

    assert again["userErrors"] == []
    assert again["organisation"]["revision"] == 2
    assert refusals(by_the_old_id) == []
    assert await everything_kept() == kept


async def test_what_cannot_be_merged_is_named_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = await two_organisations()
    await keep(*(third := an_organisation("https://third.example", "https://third.example/1")))
    await keep(*(fourth := an_organisation("https://fourth.example")))
    await merge(third[0].id, fourth[0].id)
    before = await everything_kept()

    several = await merge(right, wrong, right, UNKNOWN, fourth[0].id)
    none = await merge(right)
    too_many = await merge(right, *[wrong] * 101)
    unknown = await merge(UNKNOWN, wrong)
    old = await merge(right, wrong, expectedRevision=7)
    monkeypatch.setattr(merge_organisations, "MAX_MOVED_RESOURCES", 1)
    too_much = await merge(right, wrong, third[0].id)

    assert [(one["code"], one["message"], one["path"][1:]) for one in several["userErrors"]] == [
        ("VALIDATION", f"{right} cannot be merged into itself.", ["duplicateIds", "1"]),
        ("NOT_FOUND", f"No Organisation with id {UNKNOWN}.", ["duplicateIds", "2"]),
        ("VALIDATION", f"{fourth[0].id} was merged into {third[0].id} already.", ["duplicateIds", "3"]),
    ]
    assert refusals(none) == refusals(too_many) == [("LIMIT_EXCEEDED", ["input", "duplicateIds"])]
    assert refusals(unknown) == [("NOT_FOUND", ["input", "id"])]
    assert refusals(old) == [("REVISION_CONFLICT", ["input", "expectedRevision"])]
    assert refusals(too_much) == [("LIMIT_EXCEEDED", ["input", "duplicateIds"])]
    assert await everything_kept() == before


async def test_resources_that_could_not_be_told_apart_are_named_until_they_can() -> None:
    page = "https://office.example/1"
    right, wrong, third = (an_organisation(f"https://{n}.example", page) for n in ("a", "b", "c"))
    await keep(*right, *wrong, *third)
    before = await everything_kept()

    refused = await merge(right[0].id, wrong[0].id)
    beside = await merge(right[0].id, wrong[0].id, third[0].id)
    kept = await everything_kept()
    await do("updateResource", "resource { id }", WORKER, id=wrong[1].id, landingPage="https://office.example/2")
    merged = await merge(right[0].id, wrong[0].id)

    (error,) = refused["userErrors"]
    assert (error["code"], error["path"]) == ("ALREADY_EXISTS", ["input", "duplicateIds"])
    assert error["message"].startswith(f"{right[1].id} and {wrong[1].id} have the same landing page and code")
    assert f"{right[1].id} and {wrong[1].id} and {third[1].id} have" in beside["userErrors"][0]["message"]
    assert kept == before
    assert len(merged["organisation"]["resources"]["nodes"]) == 2


@pytest.mark.parametrize("viewer", [ANONYMOUS, WORKER, Viewer(Role.USER, "user_1")])
async def test_only_administrators_merge_organisations(viewer: Viewer) -> None:
    right, wrong = await two_organisations()
    before = await everything_kept()

    assert refusals(await merge(right, wrong, viewer=viewer)) == [("FORBIDDEN", ["input"])]
    assert await everything_kept() == before


@pytest.mark.parametrize("module", [resources, find_or_create])
async def test_a_resource_that_is_recorded_while_its_organisation_is_merged_is_not_left_behind(
    monkeypatch: pytest.MonkeyPatch, round_trips: RoundTrips, module: Any
) -> None:
    right, wrong = await two_organisations()
    store = "insert" if module is resources else "insert_or_retry"
    insert = getattr(module, store)
    merging_beside: list[asyncio.Task[Any]] = []

    async def insert_while_merging(*given: Any) -> Any:
        if not merging_beside:
            # Until it has ended, or given way to the record.
            with round_trips.counting() as seen:
                merging_beside.append(beside := asyncio.create_task(merge(right, wrong)))
                async with asyncio.timeout(within()):
                    while not beside.done() and "abortTransaction" not in [command for command, _ in seen]:
                        await asyncio.sleep(0.01)
        return await insert(*given)

    monkeypatch.setattr(module, store, insert_while_merging)
    if module is resources:
        recorded = await do("createResource", "resource { id }", WORKER, organisationId=wrong, title="new")
    else:
        recorded = await ingest(organisationUrl=WRONG, organisationName=None)

    assert recorded["userErrors"] == (await merging_beside[0])["userErrors"] == []
    rows = (await everything_kept())["resources"]
    assert [row["organisationRef"] for row in rows] == [right] * 3


async def test_of_two_merges_in_a_circle_one_is_made() -> None:
    right, wrong = await two_organisations()

    payloads = await asyncio.gather(merge(right, wrong), merge(wrong, right))

    (left,) = (await everything_kept())["organisations"]
    assert {row["organisationRef"] for row in (await everything_kept())["resources"]} == {left["_id"]}
    assert [row["organisationRef"] for row in (await everything_kept())["former_organisations"]] == [left["_id"]]
    assert any(payload["userErrors"] == [] for payload in payloads)


async def test_a_folder_that_is_imported_again_after_a_merge_goes_on_where_it_was(
    database: Database, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "births-family",
        {"datasets/births/info.json": info(), "datasets/births/out/births.csv-metadata.json": csvw("births")},
    )
    await run(tmp_path)
    (made,) = (await ask("{ organisations { nodes { id } } }"))["organisations"]["nodes"]
    await keep(right := documents.Organisation(url=RIGHT))
    await merge(right.id, made["id"])
    await database["idempotency_keys"].delete_many({})
    write_files(folder, {"datasets/births/2020/births.csv-metadata.json": csvw("births", note="of another year")})

    again = await run(tmp_path)

    assert again.taken == {"CSV-W documents": 1}
    assert {name: len(one["versions"]) for name, one in (await datasets()).items()} == {"births": 1, "2020-births": 1}
    assert (await counts(database))["resources"] == 1
