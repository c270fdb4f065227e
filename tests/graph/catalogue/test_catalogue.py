"""Walking the catalogue: what a client reads is what a pipeline reported, at one find a level."""

import hashlib
import json
from typing import Any

import pytest

from tests.conftest import RoundTrips
from tests.support.catalogue import REQUEST, WORKER, ask, ask_text, code_repo, csvw, do, ingest

pytestmark = pytest.mark.usefixtures("database")

CHAIN = """{ organisations(first: 100) { nodes { name
  resources(first: 100) { nodes { title
    datasets(first: 100) { nodes { identifier
      versions(first: 100) { nodes { label
        distribution { sha256 columns { name }
          transform { status code { commit } details { completed } } } } } } } } } } } }"""

LEVELS = [
    ("find", name)
    for name in ("organisations", "resources", "datasets", "dataset_versions", "distributions", "transforms")
]

ODD = (
    '{"@context":"http://www.w3.org/ns/csvw", "url": "odd.csv",\n'
    '  "tableSchema": {"columns": [{"name": "a"}]},\n'
    '  "z": 1.0, "a": 1.00, "http://a.b/c.d": {"$set": {"x.y": 1e2}}, "$where": 12345678901234567890123,\n'
    '  "é": "\\u00e9\\/", "nul": null, "z": 2}\n'
)


async def test_a_document_comes_back_with_its_own_keys_order_and_numbers() -> None:
    payload = await ingest(distributions=[{"csvwText": ODD}])
    assert payload["userErrors"] == []

    answer = await ask_text("{ datasets { nodes { latestVersion { distribution { csvw sha256 sizeBytes } } } } }")

    digest = hashlib.sha256(ODD.encode()).hexdigest()
    assert answer == (
        '{"datasets":{"nodes":[{"latestVersion":{"distribution":{"csvw":'
        + ODD
        + f',"sha256":"{digest}","sizeBytes":"{len(ODD.encode())}"'
        + "}}}]}}"
    )


async def test_a_document_given_as_json_is_kept_in_the_order_of_its_keys() -> None:
    given = {"url": "births.csv", "tableSchema": {"columns": []}, "z.y": {"$b": 1.5}, "a": [True, None, "é"]}
    await ingest(distributions=[{"csvw": given}])

    answer = await ask_text("{ datasets { nodes { latestVersion { distribution { csvw sha256 } } } } }")

    text = json.dumps(given, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert answer.endswith(f'{{"distribution":{{"csvw":{text},"sha256":"{digest}"}}}}}}]}}}}')


async def fill(organisations: int, each: int) -> None:
    for n in range(organisations):
        for m in range(each):
            for version in range(2):
                payload = await ingest(
                    organisationUrl=f"https://office{n}.example/",
                    codeRepo=code_repo(f"datasets/{m}"),
                    distributions=[{"csvwText": csvw(f"d{k}", n=version)} for k in range(each)],
                )
                assert payload["userErrors"] == []


@pytest.mark.parametrize(("organisations", "each"), [(1, 1), (3, 3)])
async def test_the_chain_costs_one_find_a_level(round_trips: RoundTrips, organisations: int, each: int) -> None:
    await fill(organisations, each)

    with round_trips.counting() as seen:
        answer = await ask(CHAIN)

    assert seen == LEVELS
    versions = [
        version
        for organisation in answer["organisations"]["nodes"]
        for resource in organisation["resources"]["nodes"]
        for dataset in resource["datasets"]["nodes"]
        for version in dataset["versions"]["nodes"]
    ]
    assert len(versions) == organisations * each * each * 2
    assert all(version["distribution"]["transform"]["status"] == "SUCCEEDED" for version in versions)


async def test_whether_versions_are_the_latest_costs_one_find_for_all(round_trips: RoundTrips) -> None:
    await fill(1, 3)

    with round_trips.counting() as seen:
        answer = await ask("{ datasets { nodes { versions { nodes { isLatest } } } } }")

    assert [name for _, name in seen] == ["datasets", "dataset_versions", "datasets"]
    assert [dataset["versions"]["nodes"] for dataset in answer["datasets"]["nodes"]] == [
        [{"isLatest": False}, {"isLatest": True}]
    ] * 9


async def test_every_link_leads_back() -> None:
    ids = await ingest()
    asked = """query ($id: ID!) { node(id: $id) { ... on Transform { id
      distributions { nodes { version { id dataset { latestVersion { id } resource { id transforms { nodes { id } } } }
        distribution { dataset { id } transform { id } } } } } } } }"""

    found = (await ask(asked, id=ids["transform"]["id"]))["node"]

    (distribution,) = found["distributions"]["nodes"]
    version = distribution["version"]
    assert version["id"] == version["dataset"]["latestVersion"]["id"] == ids["published"][0]["id"]
    assert version["dataset"]["resource"] == {"id": ids["resource"]["id"], "transforms": {"nodes": [ids["transform"]]}}
    assert version["distribution"]["transform"] == ids["transform"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"identifier": {"startsWith": "bi"}}, ["births"]),
        ({"keyword": {"eq": "life"}}, ["births"]),
        ({"title": {"contains": "eath"}}, ["deaths"]),
        ({"publisher": {"in": ["The Office"]}}, ["births"]),
        ({"modified": {"gte": "2026-02-01T00:00:00Z", "lt": "2026-02-02T00:00:00Z"}}, ["births"]),
        ({"not": {"identifier": {"eq": "births"}}}, ["deaths"]),
        ({"resourceId": {"in": []}}, []),
    ],
)
async def test_datasets_are_filtered(where: dict[str, Any], expected: list[str]) -> None:
    facts = {"dc:publisher": "The Office", "dc:modified": "2026-02-01", "dcat:keyword": ["life"]}
    await ingest(
        distributions=[
            {"csvwText": csvw("births", **facts), "title": "Births"},
            {"csvwText": csvw("deaths"), "title": "Deaths"},
        ]
    )

    found = await ask(
        "query ($where: DatasetWhere!) { datasets(where: $where) { totalCount nodes { identifier } } }", where=where
    )

    assert found["datasets"] == {"totalCount": len(expected), "nodes": [{"identifier": name} for name in expected]}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"statusFilter": {"in": ["SUCCEEDED", "FAILED"]}}, 2),
        ({"statusFilter": {"in": ["READY"]}}, 1),
        ({"statusFilter": {"in": []}}, 0),
        # The requested one has the code of the latest run.
        ({"commit": {"eq": "a1" * 20}}, 1),
        ({"commit": {"eq": "c3" * 20}}, 2),
        ({"commit": {"startsWith": "b2"}}, 3),
        ({"validated": {"eq": True}}, 1),
        ({"validated": {"eq": None}}, 2),
        ({"createdAt": {"gt": "2100-01-01T00:00:00Z"}}, 0),
    ],
)
async def test_transforms_are_filtered(where: dict[str, Any], expected: int) -> None:
    resource = (await ingest(validated=True))["resource"]["id"]
    await ingest(codeRepo=code_repo(commit="c3" * 20))
    await do(REQUEST, WORKER, resourceId=resource)

    found = await ask("query ($where: TransformWhere!) { transforms(where: $where) { totalCount } }", where=where)

    assert found["transforms"]["totalCount"] == expected


async def test_resources_are_filtered_and_ordered() -> None:
    for title in ("B", None, "A"):
        await ingest(resourceTitle=title, codeRepo=code_repo(str(title)), landingPage=f"https://page.example/{title}")

    found = await ask("""{
      all: resources(orderBy: [{field: TITLE}]) { nodes { title } }
      down: resources(orderBy: [{field: TITLE, direction: DESC}]) { nodes { title } }
      some: resources(where: {landingPage: {contains: "page.example/A"}}) { nodes { title } }
    }""")

    assert [node["title"] for node in found["all"]["nodes"]] == ["A", "B", None]
    assert [node["title"] for node in found["down"]["nodes"]] == ["B", "A", None]
    assert [node["title"] for node in found["some"]["nodes"]] == ["A"]


async def test_versions_are_paged_in_order_of_ordinal_both_ways() -> None:
    for n in range(12):
        await ingest(distributions=[{"csvwText": csvw("births", n=n)}])
    asked = """query ($after: String) { datasets { nodes {
      versions(first: 5, after: $after) { nodes { ordinal } pageInfo { hasNextPage endCursor } totalCount }
      newest: versions(first: 2, orderBy: [{field: ORDINAL, direction: DESC}]) { nodes { label } } } } }"""

    seen, after, more = [], None, True
    while more:
        (dataset,) = (await ask(asked, after=after))["datasets"]["nodes"]
        seen += [node["ordinal"] for node in dataset["versions"]["nodes"]]
        more, after = dataset["versions"]["pageInfo"].values()

    assert seen == list(range(1, 13))
    assert dataset["versions"]["totalCount"] == 12
    assert dataset["newest"]["nodes"] == [{"label": "v12"}, {"label": "v11"}]


async def test_what_is_unknown_is_null() -> None:
    found = await ask("""{ resource(id: "resource_x") { id } dataset(id: "y") { id } transform(id: "") { id } }""")

    assert found == {"resource": None, "dataset": None, "transform": None}
