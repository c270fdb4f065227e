"""A version of a dataset tells for ever what made it, whatever became of its resource, code and inputs."""

from typing import Any

import pytest

from tests.support.asking import ADMIN, ask
from tests.support.catalogue import code_repo, csvw, do, ingest

pytestmark = pytest.mark.usefixtures("database")

COMMITS = ["a1" * 20, "b2" * 20, "c3" * 20]
URL = "https://files.example/births.csv"
INPUTS = "nodes { __typename id caption ... on ExternalData { version sha256 sizeBytes mediaType } }"
WHY = f"""query ($id: ID!) {{ node(id: $id) {{ ... on DatasetVersion {{ label distribution {{ id caption csvwText
  provenance {{ generatedBy {{ id caption ... on Transform {{ used {{ {INPUTS} }} }} }}
    code {{ repository commit path }} derivedFrom {{ {INPUTS} }} gaps }}
  lineage(direction: UPSTREAM) {{ nodes {{ distance node {{ id caption }} }} edges {{ fromId toId kind isAssumed }} }}
  }} }} }} }}"""
UPDATE = """mutation ($input: UpdateResourceInput!) { updateResource(input: $input) {
  resource { title } userErrors { message } } }"""


async def why(version: Any) -> Any:
    """What a version says of where it came from."""
    return (await ask(WHY, ADMIN, id=version["id"]))["node"]


async def publish(name: str, number: int, *used: dict[str, Any], **fields: Any) -> Any:
    """The payload of the report of a run at the commit with this number, which published a version of a dataset."""
    document = {"csvwText": csvw(name, **{"dc:title": f"{name} {number}"})}
    code = code_repo(f"datasets/{name}", COMMITS[number], url=f"https://code.example/{name}.git")
    return await ingest(codeRepo=code, distributions=[document], used=list(used), **fields)


async def test_each_version_answers_its_own_commit_and_inputs_after_all_has_moved_on() -> None:
    told: list[Any] = []
    made: list[Any] = []
    for number, commit in enumerate(COMMITS):
        (regions,) = (await publish("regions", number))["published"]
        data = {"url": URL, "version": str(number), "sha256": commit[:2] * 32, "sizeBytes": str(number)}
        payload = await publish("births", number, data, {"id": regions["id"]}, resourceTitle=f"Births {number}")
        told.append(await why(payload["published"][0]))
        made.append(payload)

    # The bytes at the URL are others, with the same version and with a later one; the code moves to another repository.
    await publish("deaths", 0, {"url": URL, "version": "0", "sha256": "0d" * 32}, {"url": URL, "version": "3"})
    moved = {"url": "https://moved.example/births", "source": [{"path": "main.py", "commit": "d4" * 20}]}
    given = {"id": made[0]["resource"]["id"], "title": "All births", "landingPage": "https://new.example"}
    updated = await do(UPDATE, ADMIN, **given, codeRepo=moved)

    assert updated == {"resource": {"title": "All births"}, "userErrors": []}
    assert [await why(payload["published"][0]) for payload in made] == told
    for number, (payload, version) in enumerate(zip(made, told, strict=True)):
        provenance = version["distribution"]["provenance"]
        assert version["label"] == f"v{number + 1}"
        assert provenance["generatedBy"]["id"] == payload["transform"]["id"]
        assert provenance["code"] == [
            {"repository": "https://code.example/births", "commit": COMMITS[number], "path": "datasets/births/main.py"},
            {"repository": "https://code.example/births", "commit": "b2" * 20, "path": "datasets/births/info.json"},
        ]
        data, regions = provenance["derivedFrom"]["nodes"]
        assert (data["version"], data["sha256"], data["sizeBytes"]) == (
            str(number),
            COMMITS[number][:2] * 32,
            str(number),
        )
        assert (regions["__typename"], regions["caption"]) == ("Distribution", f"regions {number} v{number + 1}")
        assert provenance["generatedBy"]["used"] == provenance["derivedFrom"]
        assert provenance["gaps"] == []
        assert len(version["distribution"]["lineage"]["nodes"]) == 5
