"""Writing resources, datasets and requests for transforms."""

import asyncio

import pytest

from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Viewer
from tests.support.catalogue import REQUEST, STRANGER, USER_ERRORS, WORKER, Answer, ask, code_repo, counts, do, ingest

pytestmark = pytest.mark.usefixtures("database")

CREATE_ORGANISATION = """mutation ($input: CreateOrganisationInput!) { createOrganisation(input: $input) {
  organisation { id } userErrors { message } } }"""
RESOURCE = """id title landingPage info revision
  codeRepo { provider url source { path commit } monitorDirs { url lastSeenAt pendingFiles } }"""
CREATE = f"""mutation ($input: CreateResourceInput!) {{ createResource(input: $input) {{
  resource {{ {RESOURCE} }} {USER_ERRORS} }} }}"""
UPDATE = f"""mutation ($input: UpdateResourceInput!) {{ updateResource(input: $input) {{
  resource {{ {RESOURCE} }} {USER_ERRORS} }} }}"""
CREATE_DATASET = f"""mutation ($input: CreateDatasetInput!) {{ createDataset(input: $input) {{
  dataset {{ id identifier title description keywords revision latestVersion {{ label }} resource {{ id }} }}
  {USER_ERRORS} }} }}"""
PAGE = "https://statistics.example/births"


@pytest.fixture
async def organisation() -> str:
    payload = await do(CREATE_ORGANISATION, url="https://statistics.example/office")
    found: str = payload["organisation"]["id"]
    return found


async def test_a_resource_is_created_with_all_that_is_given(organisation: str) -> None:
    payload = await do(
        CREATE,
        organisationId=organisation,
        landingPage=PAGE,
        title="Births",
        info={"b": 1, "a": [None, 1.5]},
        codeRepo=code_repo(monitorDirs=["gs://in/births/"]),
    )

    assert payload["userErrors"] == []
    id = payload["resource"].pop("id")
    assert id.startswith("resource_")
    assert payload["resource"] == {
        "title": "Births",
        "landingPage": PAGE,
        "info": {"b": 1, "a": [None, 1.5]},
        "revision": 1,
        "codeRepo": {
            "provider": "GITHUB",
            "url": "https://code.example/family",
            "source": code_repo()["source"],
            "monitorDirs": [{"url": "gs://in/births/", "lastSeenAt": None, "pendingFiles": 0}],
        },
    }


async def test_a_resource_needs_no_more_than_an_organisation(organisation: str, database: Database) -> None:
    first = await do(CREATE, organisationId=organisation)
    second = await do(CREATE, organisationId=organisation)

    assert first["resource"]["codeRepo"] is None
    assert first["resource"]["id"] != second["resource"]["id"]
    assert (await counts(database))["resources"] == 2


async def test_a_second_resource_of_the_same_page_and_code_is_refused(organisation: str, database: Database) -> None:
    await do(CREATE, organisationId=organisation, landingPage=PAGE, codeRepo=code_repo())

    payload = await do(CREATE, organisationId=organisation, landingPage=PAGE, codeRepo=code_repo(commit="c3" * 20))

    assert [(one["code"], one["path"]) for one in payload["userErrors"]] == [
        ("ALREADY_EXISTS", ["input", "landingPage"])
    ]
    assert payload["resource"] is None
    assert (await counts(database))["resources"] == 1


async def test_a_resource_of_nobody_is_refused(database: Database) -> None:
    payload = await do(CREATE, organisationId="organisation_unknown", landingPage=PAGE)

    assert [(one["__typename"], one["path"]) for one in payload["userErrors"]] == [
        ("NotFound", ["input", "organisationId"])
    ]
    assert (await counts(database))["resources"] == 0


async def test_a_report_finds_the_resource_that_was_created(organisation: str, database: Database) -> None:
    created = await do(CREATE, organisationId=organisation, landingPage=PAGE, codeRepo=code_repo())

    reported = await ingest(landingPage=PAGE)

    assert reported["resource"]["id"] == created["resource"]["id"]
    assert (await counts(database))["resources"] == 1


async def test_an_update_names_the_field_whose_value_is_refused(organisation: str) -> None:
    created = (await do(CREATE, organisationId=organisation, title="Births"))["resource"]

    payloads = [
        await do(UPDATE, id=created["id"], title="Births\nand deaths"),
        await do(UPDATE, id=created["id"], landingPage="births"),
        await do(UPDATE, id=created["id"], codeRepo=code_repo() | {"url": "births"}),
    ]

    assert [[(one["code"], one["path"]) for one in payload["userErrors"]] for payload in payloads] == [
        [("VALIDATION", ["input", "title"])],
        [("VALIDATION", ["input", "landingPage"])],
        [("VALIDATION", ["input", "codeRepo", "url"])],
    ]
    assert (await ask("{ resources { nodes { title revision } } }"))["resources"]["nodes"] == [
        {"title": "Births", "revision": 1}
    ]


async def test_an_update_changes_what_is_given_and_leaves_the_rest(organisation: str) -> None:
    created = (await do(CREATE, organisationId=organisation, landingPage=PAGE, title="Births"))["resource"]

    renamed = await do(UPDATE, id=created["id"], title="Live births", expectedRevision=1)
    emptied = await do(UPDATE, id=created["id"], title=None)

    assert renamed["resource"] == created | {"title": "Live births", "revision": 2}
    assert emptied["resource"] == created | {"title": None, "revision": 3}


async def test_an_update_of_the_code_keeps_what_was_seen_in_directories_that_stay(
    organisation: str, database: Database
) -> None:
    code = code_repo(monitorDirs=["gs://in/a/", "gs://in/b/"])
    created = (await do(CREATE, organisationId=organisation, codeRepo=code))["resource"]
    await database.resources.update_one({}, {"$set": {"code_repo.monitor_dirs.1.pendingFiles": 3}})

    updated = await do(UPDATE, id=created["id"], codeRepo={"provider": "OTHER", "monitorDirs": ["gs://in/b/"]})

    assert updated["resource"]["codeRepo"] == {
        "provider": "OTHER",
        "url": None,
        "source": [],
        "monitorDirs": [{"url": "gs://in/b/", "lastSeenAt": None, "pendingFiles": 3}],
    }


async def test_an_update_onto_the_page_and_code_of_another_is_refused(organisation: str) -> None:
    await do(CREATE, organisationId=organisation, landingPage=PAGE)
    other = (await do(CREATE, organisationId=organisation, landingPage=f"{PAGE}/2"))["resource"]

    payload = await do(UPDATE, id=other["id"], landingPage=PAGE)

    assert [one["code"] for one in payload["userErrors"]] == ["ALREADY_EXISTS"]
    found = await ask("query ($id: ID!) { resource(id: $id) { landingPage revision } }", id=other["id"])
    assert found["resource"] == {"landingPage": f"{PAGE}/2", "revision": 1}


async def test_of_two_updates_that_expect_the_same_revision_one_wins(organisation: str) -> None:
    created = (await do(CREATE, organisationId=organisation, title="Births"))["resource"]

    payloads = await asyncio.gather(
        *(do(UPDATE, id=created["id"], expectedRevision=1, title=title) for title in ("First", "Second"))
    )

    winners = [payload["resource"] for payload in payloads if payload["resource"]]
    losers = [payload["userErrors"] for payload in payloads if payload["userErrors"]]
    assert [winner["revision"] for winner in winners] == [2]
    assert losers == [
        [
            {
                "__typename": "RevisionConflict",
                "code": "REVISION_CONFLICT",
                "message": f"Resource {created['id']} is at revision 2, not 1.",
                "path": ["input", "expectedRevision"],
                "expectedRevision": 1,
                "currentRevision": 2,
                "current": {"id": created["id"], "title": winners[0]["title"], "revision": 2},
            }
        ]
    ]


@pytest.mark.parametrize("viewer", [ANONYMOUS, STRANGER], ids=["anonymous", "user"])
async def test_only_workers_and_administrators_write(viewer: Viewer, organisation: str, database: Database) -> None:
    created = (await do(CREATE, organisationId=organisation, title="Births"))["resource"]

    payloads = [
        await do(CREATE, viewer, organisationId=organisation),
        await do(UPDATE, viewer, id=created["id"], title="Mine"),
        await do(CREATE_DATASET, viewer, resourceId=created["id"], identifier="births"),
        await do(REQUEST, viewer, resourceId=created["id"]),
    ]

    assert [[one["code"] for one in payload["userErrors"]] for payload in payloads] == [["FORBIDDEN"]] * 4
    found = await counts(database)
    assert (found["resources"], found["datasets"], found["transforms"]) == (1, 0, 0)
    assert (await ask("{ resources { nodes { title } } }"))["resources"]["nodes"] == [{"title": "Births"}]


async def test_a_dataset_is_created_once_and_the_first_report_on_it_is_v1(database: Database) -> None:
    resource = (await ingest(distributions=[]))["resource"]["id"]

    created = await do(
        CREATE_DATASET, resourceId=resource, identifier="births", title="Births", description="By\nmonth."
    )
    again = await do(CREATE_DATASET, resourceId=resource, identifier="births")
    reported = await ingest()

    id = created["dataset"].pop("id")
    assert created["dataset"] == {
        "identifier": "births",
        "title": "Births",
        "description": "By\nmonth.",
        "keywords": [],
        "revision": 1,
        "latestVersion": None,
        "resource": {"id": resource},
    }
    assert [(one["code"], one["path"]) for one in again["userErrors"]] == [("ALREADY_EXISTS", ["input", "identifier"])]
    assert [one["label"] for one in reported["published"]] == ["v1"]
    found = await ask("query ($id: ID!) { dataset(id: $id) { title latestVersion { label } } }", id=id)
    assert found["dataset"] == {"title": "Births", "latestVersion": {"label": "v1"}}
    assert (await counts(database))["datasets"] == 1


async def test_a_requested_transform_waits_with_the_code_of_the_latest_run() -> None:
    resource = (await ingest())["resource"]["id"]

    payload = await do(REQUEST, resourceId=resource, message="New figures are out.")

    files: list[Answer] = code_repo()["source"]
    assert payload["userErrors"] == []
    payload["transform"].pop("id")
    assert payload["transform"] == {
        "status": "READY",
        "attempt": 0,
        "startedAt": None,
        "cause": {"kind": "REQUESTED", "files": [], "message": "New figures are out."},
        "code": [{"repository": "https://code.example/family"} | file for file in files],
    }


async def test_of_many_requests_at_once_one_transform_waits(database: Database) -> None:
    resource = (await ingest(distributions=[]))["resource"]["id"]

    payloads = await asyncio.gather(*(do(REQUEST, resourceId=resource, message=str(n)) for n in range(10)))

    assert [payload["userErrors"] for payload in payloads] == [[]] * 10
    assert len({payload["transform"]["id"] for payload in payloads}) == 1
    assert await database.transforms.count_documents({"status": "READY"}) == 1


async def test_a_request_while_a_transform_runs_makes_the_next_one(database: Database) -> None:
    resource = (await ingest(distributions=[]))["resource"]["id"]
    first = (await do(REQUEST, resourceId=resource))["transform"]["id"]
    await database.transforms.update_one({"_id": first}, {"$set": {"status": "RUNNING"}})

    second = (await do(REQUEST, resourceId=resource))["transform"]

    assert second["id"] != first
    assert second["status"] == "READY"


async def test_a_request_for_an_unknown_resource_is_refused(database: Database) -> None:
    payload = await do(REQUEST, WORKER, resourceId="resource_unknown")

    assert [(one["__typename"], one["path"]) for one in payload["userErrors"]] == [
        ("NotFound", ["input", "resourceId"])
    ]
    assert (await counts(database))["transforms"] == 0
