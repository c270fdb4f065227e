"""Ingesting components from their odtp.yml, and deprecating their versions, as a pipeline does."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

import documents
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.reads.rows import collection_of
from tests.support.asking import WORKER, ask
from tests.support.builders import everything_kept
from tests.support.needs import need_shared_data

pytestmark = pytest.mark.usefixtures("database")

INGEST = """mutation($input: IngestComponentInput!) { ingestComponent(input: $input) {
  component { id name title author repoLink type description tags revision latestVersion { version }
    versions { totalCount } }
  componentVersion { id version declaredVersion commitHash dockerHubLink tags secrets metadata isDeprecated
    parameters { name datatype defaultValue description options allowCustomValue minimum maximum }
    ports { name description containerPort } component { repoLink } }
  adjustments { path message } userErrors { code message path } } }"""
DEPRECATE = """mutation($input: DeprecateComponentVersionInput!) { deprecateComponentVersion(input: $input) {
  componentVersion { isDeprecated component { latestVersion { version } } } userErrors { code path } } }"""

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CURRENT = """\
schema-version: "v0.5.0"
component-name: net-mender
component-version: "0.10"
component-license: AGPL-3.0
component-type: interactive
component-title: Mends nets
component-description: Finds holes in nets.
component-authors:
  - {name: Ada, orcid: null}
component-repository: {url: "git@code.example:nets.git", doi: null}
component-docker-image: "example/nets:v0.10"
tags: [nets, sea]
secrets:
  - {name: TOKEN, datatype: string, description: For the sea}
ports:
  - {name: app, description: The page, port-value: 8501}
parameters:
  - name: MESH
    datatype: integer
    default-value: 4
    description: Width
    parameter-bounds: [1, inf]
    options: [2, 4]
    allow-custom-value: true
"""
OLDER = """\
component-name: net-mender
component-version: 0.10
component-author: Ada
component-type: ephemeral
devices:
    gpu: false
"""
GIVEN = {"repoLink": "https://code.example/nets", "commitHash": COMMIT, "version": "v0.10", "odtpYml": CURRENT}


async def ingest(viewer: Viewer = WORKER, /, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(INGEST, viewer, input=GIVEN | given))["ingestComponent"]
    return found


async def deprecate(id: str, deprecated: bool = True, viewer: Viewer = WORKER) -> dict[str, Any]:
    answered = await ask(DEPRECATE, viewer, input={"id": id, "deprecated": deprecated})
    found: dict[str, Any] = answered["deprecateComponentVersion"]
    return found


def codes(found: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(error["code"], error["path"][1:]) for error in found["userErrors"]]


async def latest() -> str | None:
    (component,) = (await ask("{ components { nodes { latestVersion { version } } } }"))["components"]["nodes"]
    version: str | None = component["latestVersion"] and component["latestVersion"]["version"]
    return version


async def test_a_component_and_its_first_version_are_what_its_file_says() -> None:
    found = await ingest()

    assert (found["userErrors"], found["adjustments"]) == ([], [])
    assert found["component"].pop("id").startswith("component_")
    assert found["componentVersion"].pop("id").startswith("release_")
    assert found["component"] == {
        "name": "net-mender",
        "title": "Mends nets",
        "author": "Ada",
        "repoLink": "https://code.example/nets",
        "type": "INTERACTIVE",
        "description": "Finds holes in nets.",
        "tags": ["nets", "sea"],
        "revision": 1,
        "latestVersion": {"version": "v0.10"},
        "versions": {"totalCount": 1},
    }
    metadata = found["componentVersion"].pop("metadata")
    assert list(metadata)[:3] == ["schema-version", "component-name", "component-version"]
    assert metadata["component-license"] == "AGPL-3.0"
    assert found["componentVersion"] == {
        "version": "v0.10",
        "declaredVersion": "0.10",
        "commitHash": COMMIT,
        "dockerHubLink": "example/nets:v0.10",
        "tags": ["nets", "sea"],
        "secrets": ["TOKEN"],
        "isDeprecated": False,
        "parameters": [
            {
                "name": "MESH",
                "datatype": "integer",
                "defaultValue": 4,
                "description": "Width",
                "options": [2, 4],
                "allowCustomValue": True,
                "minimum": 1.0,
                "maximum": None,
            }
        ],
        "ports": [{"name": "app", "description": "The page", "containerPort": 8501}],
        "component": {"repoLink": "https://code.example/nets"},
    }


async def test_an_older_file_is_taken_and_what_had_to_be_normalised_is_listed() -> None:
    found = await ingest(odtpYml=OLDER)

    assert found["userErrors"] == []
    assert found["componentVersion"]["declaredVersion"] == "0.10"
    paths = [adjustment["path"] for adjustment in found["adjustments"]]
    assert [path for path in paths if path] == paths
    assert ["schema-version"] in paths
    assert ["component-author"] in paths
    assert ["devices"] in paths
    assert await ingest(odtpYml=OLDER) == found


@pytest.mark.parametrize(
    "link", ["https://code.example/nets/", "https://code.example/nets.git", " https://code.example/nets.git// "]
)
async def test_a_repository_is_the_same_however_it_is_written(link: str) -> None:
    first = await ingest()
    second = await ingest(repoLink=link, version="v0.11")

    assert second["component"]["id"] == first["component"]["id"]
    assert second["component"]["repoLink"] == "https://code.example/nets"
    assert second["component"]["versions"] == {"totalCount": 2}


async def test_the_same_version_again_answers_with_what_is_there() -> None:
    first = await ingest()
    before = await everything_kept()

    second = await ingest(commitHash=COMMIT.upper())

    assert second == first
    assert await everything_kept() == before


async def test_a_version_never_changes_its_commit_or_its_file() -> None:
    await ingest()
    before = await everything_kept()

    moved = await ingest(commitHash="f" * 40)
    rewritten = await ingest(odtpYml=CURRENT.replace("Width", "Height"))

    assert codes(moved) == [("ALREADY_EXISTS", ["version"])]
    assert COMMIT in moved["userErrors"][0]["message"]
    assert codes(rewritten) == [("ALREADY_EXISTS", ["odtpYml"])]
    assert moved["component"] is None
    assert await everything_kept() == before


async def test_a_component_follows_its_newest_version() -> None:
    await ingest()

    found = await ingest(version="v0.9", odtpYml=CURRENT.replace("Mends nets", "Mends sails").replace("sea", "wind"))

    assert found["component"]["title"] == "Mends sails"
    assert found["component"]["tags"] == ["nets", "wind"]
    assert found["component"]["revision"] == 2
    assert found["component"]["latestVersion"] == {"version": "v0.9"}


@pytest.mark.parametrize("viewer", [ANONYMOUS, Viewer(Role.USER, "user_x")])
async def test_users_write_nothing_into_the_registry(viewer: Viewer) -> None:
    version = (await ingest())["componentVersion"]["id"]
    before = await everything_kept()

    assert codes(await ingest(viewer, version="v1")) == [("FORBIDDEN", [])]
    assert codes(await deprecate(version, viewer=viewer)) == [("FORBIDDEN", [])]
    assert await everything_kept() == before


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"commitHash": "main"}, ["commitHash"]),
        ({"commitHash": "abc"}, ["commitHash"]),
        ({"commitHash": "0" * 65}, ["commitHash"]),
        ({"commitHash": "\u0661" * 7}, ["commitHash"]),
        ({"repoLink": "code.example/nets"}, ["repoLink"]),
        ({"repoLink": "https:///.git"}, ["repoLink"]),
        ({"repoLink": "javascript:alert(1)"}, ["repoLink"]),
        ({"version": ""}, ["version"]),
        ({"odtpYml": ""}, ["odtpYml"]),
        ({"odtpYml": "- a list"}, ["odtpYml"]),
        ({"odtpYml": "just words"}, ["odtpYml"]),
        ({"odtpYml": "a: [1"}, ["odtpYml"]),
        ({"odtpYml": "component-title: no name"}, ["odtpYml", "component-name"]),
        ({"odtpYml": "component-name: " + "n" * 300_000}, ["odtpYml"]),
    ],
)
async def test_what_cannot_be_taken_is_refused_as_data(wrong: dict[str, str], path: list[str]) -> None:
    found = await ingest(**wrong)

    assert codes(found) == [("VALIDATION", path)]
    assert (found["component"], found["componentVersion"], found["adjustments"]) == (None, None, [])
    kept = await everything_kept()
    assert (kept["components"], kept["versions"]) == ([], [])


@pytest.mark.parametrize(
    ("said", "version", "noted"),
    [
        ("v0.1.7", "2.0.3", ['component-version is "v0.1.7"; ingested as version "2.0.3", as the call says.']),
        ("v0.1.7", "v0.1.70", ['component-version is "v0.1.7"; ingested as version "v0.1.70", as the call says.']),
        ("0.1.7", "v0.1.7", []),
        ("v0.1.7", "v.0.1.7", []),
        ("V1", "1", []),
        ("vega", "ega", ['component-version is "vega"; ingested as version "ega", as the call says.']),
    ],
)
async def test_a_version_that_the_file_gives_otherwise_is_noted(said: str, version: str, noted: list[str]) -> None:
    found = await ingest(version=version, odtpYml=CURRENT.replace('"0.10"', f'"{said}"'))

    assert found["userErrors"] == []
    assert (found["componentVersion"]["version"], found["componentVersion"]["declaredVersion"]) == (version, said)
    assert found["adjustments"] == [{"path": ["component-version"], "message": message} for message in noted]


@pytest.mark.parametrize(
    ("said", "is_the_same"),
    [
        ("https://code.example/Nets/", True),
        ("ssh://git@code.example/nets.git", True),
        ("http://code.example/nets", True),
        ("https://code.example/nets-template", False),
        ("https://other.example/nets", False),
    ],
)
async def test_a_repository_that_the_file_gives_otherwise_is_noted(said: str, is_the_same: bool) -> None:
    found = await ingest(odtpYml=CURRENT.replace("git@code.example:nets.git", said))

    assert found["componentVersion"]["component"]["repoLink"] == "https://code.example/nets"
    assert [note["path"] for note in found["adjustments"]] == ([] if is_the_same else [["component-repository"]])


async def test_a_version_kept_as_yaml_1_1_reads_its_file_is_the_same_still() -> None:
    text = CURRENT + "tools: [{tool-name: sea, tool-version: 1.10}]\n"
    first = await ingest(odtpYml=text)
    versions = collection_of(documents.ComponentVersion)
    earlier = json.dumps(first["componentVersion"]["metadata"]).replace('"1.10"', "1.1")
    await versions.update_one({}, {"$set": {"metadata": earlier}})

    again = await ingest(odtpYml=text)
    other = await ingest(odtpYml=text.replace("1.10", "1.11"))

    assert (again["userErrors"], again["componentVersion"]["id"]) == ([], first["componentVersion"]["id"])
    assert codes(other) == [("ALREADY_EXISTS", ["odtpYml"])]


async def test_values_of_secrets_are_never_stored() -> None:
    found = await ingest(odtpYml="component-name: net\nsecrets:\n  - {name: TOKEN, value: s3cr3t-of-the-sea}\n")

    assert found["componentVersion"]["secrets"] == ["TOKEN"]
    assert "s3cr3t-of-the-sea" not in str(await everything_kept())


async def test_fifty_racing_calls_make_one_component_and_one_version() -> None:
    answers = await asyncio.gather(*(ingest() for _ in range(50)))

    assert [found["userErrors"] for found in answers] == [[]] * 50
    assert len({found["componentVersion"]["id"] for found in answers}) == 1
    kept = await everything_kept()
    assert (len(kept["components"]), len(kept["versions"])) == (1, 1)


async def test_racing_versions_of_a_new_component_are_all_there() -> None:
    answers = await asyncio.gather(*(ingest(version=f"v{n}") for n in range(8)))

    assert [found["userErrors"] for found in answers] == [[]] * 8
    kept = await everything_kept()
    assert sorted(row["version"] for row in kept["versions"]) == [f"v{n}" for n in range(8)]
    (component,) = kept["components"]
    assert component["revision"] == 8
    assert component["latestVersionRef"] in {row["_id"] for row in kept["versions"]}


async def test_the_latest_version_is_the_one_ingested_last_that_is_not_deprecated() -> None:
    old = (await ingest(version="v1"))["componentVersion"]["id"]
    await asyncio.sleep(0.002)
    new = (await ingest(version="v0"))["componentVersion"]["id"]

    deprecated = await deprecate(new)
    assert deprecated["componentVersion"] == {"isDeprecated": True, "component": {"latestVersion": {"version": "v1"}}}
    await deprecate(old)
    assert await latest() is None
    brought_back = await deprecate(new, False)
    assert brought_back["componentVersion"]["component"]["latestVersion"] == {"version": "v0"}
    await deprecate(old, False)
    assert await latest() == "v0"


async def test_deprecating_twice_is_as_good_as_once() -> None:
    id = (await ingest())["componentVersion"]["id"]
    first = await deprecate(id)
    before = await everything_kept()

    assert await deprecate(id) == first
    assert await everything_kept() == before


async def test_a_component_changes_with_its_latest_version_alone() -> None:
    old = (await ingest(version="v1"))["componentVersion"]["id"]
    await asyncio.sleep(0.002)
    new = (await ingest(version="v2"))["componentVersion"]["id"]
    revisions = []

    for id in (old, new):
        await deprecate(id)
        revisions.append((await everything_kept())["components"][0]["revision"])

    assert revisions == [2, 3]


async def test_deprecating_all_versions_at_once_leaves_no_latest() -> None:
    ids = [(await ingest(version=f"v{n}"))["componentVersion"]["id"] for n in range(6)]

    await asyncio.gather(*(deprecate(id) for id in ids))

    assert await latest() is None


async def test_a_version_that_does_not_exist_is_not_deprecated() -> None:
    assert codes(await deprecate("release_0123456789abcdef01234567")) == [("NOT_FOUND", ["id"])]
    assert codes(await deprecate("nonsense")) == [("NOT_FOUND", ["id"])]


async def test_a_key_that_is_used_again_answers_with_the_first_result_and_its_adjustments() -> None:
    first = await ingest(odtpYml=OLDER, idempotencyKey="k")
    second = await ingest(odtpYml=OLDER, idempotencyKey="k")

    assert first["adjustments"]
    assert second == first


async def test_every_real_file_is_ingested_or_refused_as_data() -> None:
    data = need_shared_data() / "odtp"
    verdicts = json.loads((data / "validation_oracle.json").read_text())
    outcomes: Counter[str] = Counter()

    for path in sorted((data / "yml").iterdir()):
        text = path.read_bytes().decode()
        found = await ingest(repoLink=f"https://code.example/{path.name}", odtpYml=text)
        errors = verdicts[path.name]["errors"]
        if errors and errors[0].startswith(("empty", "YAML")):
            outcomes["refused"] += 1
            assert [(code, where[0]) for code, where in codes(found)] == [("VALIDATION", "odtpYml")], path.name
            continue
        assert found["userErrors"] == [], path.name
        assert found["adjustments"] or verdicts[path.name]["valid"], path.name
        assert await ingest(repoLink=f"https://code.example/{path.name}", odtpYml=text) == found
        outcomes["taken"] += 1

    kept = await everything_kept()
    assert outcomes["refused"] > 0
    assert len(kept["components"]) == len(kept["versions"]) == outcomes["taken"] > 0
