"""The choice of the resource for a report."""

from typing import Any

import pytest

from documents.mongo.database import Database
from tests.support.catalogue import Answer, ask, code_repo, counts, csvw, do, ingest

pytestmark = pytest.mark.usefixtures("database")

BARE = {"url": "https://code.example/family"}
PAGE = "https://statistics.example/births"

CREATE_ORGANISATION = """mutation ($input: CreateOrganisationInput!) { createOrganisation(input: $input) {
  organisation { id } userErrors { message } } }"""
CREATE_RESOURCE = """mutation ($input: CreateResourceInput!) { createResource(input: $input) {
  resource { id } userErrors { message } } }"""


async def meant(**changes: Any) -> str:
    payload = await ingest(**changes)
    assert payload["userErrors"] == []
    found: str = payload["resource"]["id"]
    return found


async def made(**given: Any) -> str:
    organisation = await do(CREATE_ORGANISATION, url="https://statistics.example/office")
    payload = await do(CREATE_RESOURCE, organisationId=organisation["organisation"]["id"], landingPage=PAGE, **given)
    assert payload["userErrors"] == []
    found: str = payload["resource"]["id"]
    return found


async def test_page_repository_and_folder_say_which_resource_is_meant(database: Database) -> None:
    usual = await meant()

    others = [
        await meant(landingPage="https://statistics.example/births/2"),
        await meant(codeRepo=code_repo(url="https://code.example/other")),
        await meant(codeRepo=code_repo("datasets/stillbirths")),
        await meant(codeRepo=code_repo("")),
        await meant(organisationUrl="https://statistics.example/other"),
    ]

    assert len({usual, *others}) == 6
    assert await meant(codeRepo=code_repo(commit="c3" * 20), resourceTitle="Births") == usual
    assert await meant(codeRepo=code_repo("")) == others[3]
    assert (await counts(database))["resources"] == 6


async def test_the_pipeline_says_which_of_several_in_a_folder_is_meant(database: Database) -> None:
    usual = await meant()
    capital, current = [
        await meant(codeRepo=code_repo(pipeline=name), resourceTitle=name) for name in ("capital", "current")
    ]

    assert len({usual, capital, current}) == 3
    assert await meant(codeRepo=code_repo(pipeline="capital", commit="c3" * 20)) == capital
    assert await meant(codeRepo=code_repo()) == usual
    found = await ask("{ resources { nodes { title codeRepo { pipeline } } } }")
    assert found["resources"]["nodes"] == [
        {"title": None, "codeRepo": {"pipeline": None}},
        {"title": "capital", "codeRepo": {"pipeline": "capital"}},
        {"title": "current", "codeRepo": {"pipeline": "current"}},
    ]


async def test_without_source_files_the_title_says_which(database: Database) -> None:
    births = await meant(codeRepo=BARE, resourceTitle="Births")
    deaths = await meant(codeRepo=BARE, resourceTitle="Deaths")

    assert births != deaths
    assert await meant(codeRepo=BARE, resourceTitle="Births") == births
    assert (await counts(database))["resources"] == 2


async def test_without_files_and_title_it_is_the_only_one_on_the_page(database: Database) -> None:
    usual = await meant(resourceTitle="Births")

    assert await meant(codeRepo=BARE) == usual
    assert await meant(codeRepo=BARE, resourceTitle="Births") == usual
    assert (await counts(database))["resources"] == 1
    found = await ask("{ resources { nodes { codeRepo { source { path } } transforms { nodes { code { path } } } } } }")
    files = [{"path": "datasets/births/main.py"}, {"path": "datasets/births/info.json"}]
    assert found["resources"]["nodes"] == [
        {
            "codeRepo": {"source": files},
            "transforms": {"nodes": [{"code": files}, {"code": []}, {"code": []}]},
        }
    ]


async def test_without_files_and_title_several_on_the_page_are_one_too_many(database: Database) -> None:
    await meant(codeRepo=code_repo("a"))
    await meant(codeRepo=code_repo("b"))

    payload = await ingest(codeRepo=BARE)

    assert [(one["code"], one["path"]) for one in payload["userErrors"]] == [("VALIDATION", ["input", "codeRepo"])]
    assert (await counts(database))["transforms"] == 2


async def test_the_first_report_with_code_means_the_resource_that_was_made_without(database: Database) -> None:
    created = await made(title="Births")

    assert await meant(resourceTitle="Births") == created
    assert await meant() == created
    assert (await counts(database))["resources"] == 1


async def test_a_resource_made_without_code_and_with_another_title_is_another(database: Database) -> None:
    created = await made(title="Deaths")

    assert await meant(resourceTitle="Births") != created
    assert (await counts(database))["resources"] == 2


async def test_a_report_updates_commits_title_and_info_and_keeps_what_it_leaves_out() -> None:
    await meant(
        resourceTitle="Births", info={"a": 1}, codeRepo=code_repo(provider="GITLAB", monitorDirs=["gs://in/births/"])
    )
    await meant(codeRepo=code_repo(provider="GITLAB", commit="c3" * 20))

    found = await ask(
        "{ resources { nodes { title info revision codeRepo { provider source { commit } monitorDirs { url } } } } }"
    )
    assert found["resources"]["nodes"] == [
        {
            "title": "Births",
            "info": {"a": 1},
            "revision": 2,
            "codeRepo": {
                "provider": "GITLAB",
                "source": [{"commit": "c3" * 20}, {"commit": "b2" * 20}],
                "monitorDirs": [{"url": "gs://in/births/"}],
            },
        }
    ]


async def test_the_same_report_again_leaves_the_resource_alone() -> None:
    await meant(resourceTitle="Births", codeRepo=code_repo(monitorDirs=["gs://in/births/"]))
    asked = "{ resources { nodes { revision updatedAt } } }"
    before = await ask(asked)

    await meant(resourceTitle="Births", codeRepo=code_repo(monitorDirs=["gs://in/births/"]))

    assert await ask(asked) == before


async def test_directories_that_stay_keep_what_was_seen_in_them(database: Database) -> None:
    await meant(codeRepo=code_repo(monitorDirs=["gs://in/a/", "gs://in/b/"]))
    await database.resources.update_one({}, {"$set": {"code_repo.monitor_dirs.1.pendingFiles": 3}})

    await meant(codeRepo=code_repo(monitorDirs=["gs://in/b/", "gs://in/c/", "gs://in/b/"]))

    found: Answer = await ask("{ resources { nodes { codeRepo { monitorDirs { url pendingFiles } } } } }")
    assert found["resources"]["nodes"][0]["codeRepo"]["monitorDirs"] == [
        {"url": "gs://in/b/", "pendingFiles": 3},
        {"url": "gs://in/c/", "pendingFiles": 0},
    ]


async def test_one_dataset_name_under_two_resources_is_two_datasets(database: Database) -> None:
    await meant(codeRepo=code_repo("a"), distributions=[{"csvwText": csvw("births")}])
    await meant(codeRepo=code_repo("b"), distributions=[{"csvwText": csvw("births")}])

    assert (await counts(database))["datasets"] == 2


async def test_a_page_may_be_written_without_its_scheme_and_code_without_a_repository() -> None:
    await meant(
        landingPage="www.statistics.example/births", codeRepo={"source": [{"path": "main.py", "commit": "abcd"}]}
    )

    found = await ask(
        "{ resources { nodes { landingPage transforms { nodes { code { repository path commit } } } } } }"
    )

    assert found["resources"]["nodes"] == [
        {
            "landingPage": "www.statistics.example/births",
            "transforms": {"nodes": [{"code": [{"repository": "", "path": "main.py", "commit": "abcd"}]}]},
        }
    ]
