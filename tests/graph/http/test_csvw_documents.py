"""Published documents at addresses of their own: their bytes, their caching, and who may have them."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from starlette.applications import Starlette

import documents
from graph.app import create_app
from graph.context import MakeContext
from graph.engine.admission import MAX_POINT_READS, Admission, Capacity
from graph.http.csvw_documents import CsvwDocuments
from graph.schema import schema
from graph.settings import Settings
from resolvers.access.authentication import Authenticator
from resolvers.access.policies import POLICIES
from resolvers.access.viewer import Role, Viewer
from resolvers.filters import MATCH_NOTHING, Filter
from resolvers.reads.answer_budget import AnswerLimits
from tests.conftest import RoundTrips
from tests.support.catalogue import WORKER, ask, csvw, ingest, report
from tests.support.running import ADMIN_TOKEN, Running

ODD = (
    '{"@context":"http://www.w3.org/ns/csvw", "url": "odd.csv",\r\n'
    '\t"tableSchema": {"columns": []}, "n": [1.0, 1.00, 1e2, 12345678901234567890123],\n'
    '  "é": "\\u00e9\\/ \\ud83d\\ude00 😀", "a": 1, "a": 2, "</script>": "<b>"}\n\n'
)
DIGEST = hashlib.sha256(ODD.encode()).hexdigest()
AS_ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}

NEWEST = """query ($id: String!) { datasets(where: {identifier: {eq: $id}}) { nodes { id resource { id }
  latestVersion { distribution { id csvwText csvwUrl sha256 } } } } }"""


@pytest.fixture
async def lab(database: object) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application on the test's database."""
    app = create_app(
        schema=schema,
        settings=Settings.model_construct(),
        make_context=make_context(),
        ready=always,
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://lab.example") as client:
        yield client


@asynccontextmanager
async def alone(admission: Admission, closed: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of nothing but the addresses of documents."""
    routes = CsvwDocuments(make_context(), admission, lambda: closed).routes()
    transport = httpx2.ASGITransport(Starlette(routes=routes))
    async with httpx2.AsyncClient(transport=transport, base_url="https://lab.example") as client:
        yield client


def make_context() -> MakeContext:
    return MakeContext(Authenticator(admin_token=ADMIN_TOKEN), AnswerLimits(1000), AnswerLimits(1000))


async def always() -> bool:
    return True


async def dataset(identifier: str = "odd") -> Any:
    """A dataset with what its newest version serves."""
    (found,) = (await ask(NEWEST, id=identifier))["datasets"]["nodes"]
    return found


async def served(identifier: str = "odd") -> Any:
    found = await dataset(identifier)
    return found["latestVersion"]["distribution"]


def hide(monkeypatch: pytest.MonkeyPatch, *hidden: Any) -> None:
    """Let administrators alone see some documents."""

    def administrators(viewer: Viewer) -> Filter:
        return {} if viewer.role is Role.ADMIN else MATCH_NOTHING

    for document in hidden:
        monkeypatch.setitem(POLICIES, document, administrators)


@pytest.mark.usefixtures("database")
async def test_the_text_is_what_was_ingested() -> None:
    await ingest(distributions=[{"csvwText": ODD}])

    found = await served()

    assert found["csvwText"] == ODD
    assert found["sha256"] == DIGEST
    assert found["csvwUrl"] == f"/distributions/{found['id']}/csvw"


async def test_a_document_is_served_byte_for_byte_to_be_kept_for_a_day(lab: httpx2.AsyncClient) -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    asked = {"query": NEWEST, "variables": {"id": "odd"}}
    answer = (await lab.post("/graphql", json=asked)).json()
    (found,) = answer["data"]["datasets"]["nodes"]
    url = found["latestVersion"]["distribution"]["csvwUrl"]

    got = await lab.get(url)

    assert url.startswith("https://lab.example/distributions/distribution_")
    assert got.status_code == 200
    assert got.content == ODD.encode()
    assert got.headers["content-type"] == "application/csvm+json"
    assert got.headers["etag"] == f'"{DIGEST}"'
    assert got.headers["cache-control"] == "public, max-age=86400"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers.get_list("content-security-policy") == ["sandbox"]


@pytest.mark.parametrize(
    "condition",
    [
        f'"{DIGEST}"',
        f'W/"{DIGEST}"',
        f'"other", "a,b",W/"{DIGEST}"',
        "*",
    ],
)
async def test_who_has_the_document_is_not_sent_it_again(lab: httpx2.AsyncClient, condition: str) -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    url = (await served())["csvwUrl"]

    got = await lab.get(url, headers={"if-none-match": condition})
    head = await lab.head(url, headers={"if-none-match": condition})

    assert (got.status_code, head.status_code, got.content) == (304, 304, b"")
    assert got.headers["etag"] == f'"{DIGEST}"'
    assert got.headers["cache-control"] == "public, max-age=86400"


@pytest.mark.parametrize("condition", ["", '"other"', DIGEST, f'"{DIGEST[:-1]}"', f'"{DIGEST}', '"' * 5_000, "**"])
async def test_other_conditions_get_the_document(lab: httpx2.AsyncClient, condition: str) -> None:
    await ingest(distributions=[{"csvwText": ODD}])

    got = await lab.get((await served())["csvwUrl"], headers={"if-none-match": condition})

    assert (got.status_code, got.content) == (200, ODD.encode())


async def test_the_newest_version_is_found_by_id_and_by_name(lab: httpx2.AsyncClient) -> None:
    name = "rain / snow?é#1"
    for n in range(2):
        await ingest(distributions=[{"dataset": name, "csvwText": csvw("weather", n=n)}])
    found = await dataset(name)
    newest = f"/distributions/{found['latestVersion']['distribution']['id']}/csvw"

    by_id = await lab.get(f"/datasets/{found['id']}/latest")
    by_name = await lab.get(f"/resources/{found['resource']['id']}/datasets/{quote(name, safe='')}/latest")
    followed = await lab.get(f"/datasets/{found['id']}/latest", follow_redirects=True)

    for got in (by_id, by_name):
        assert (got.status_code, got.headers["location"]) == (307, newest)
        assert got.headers["cache-control"] == "no-cache"
    assert followed.json()["n"] == 1


async def test_one_name_in_two_resources_leads_to_two_documents(lab: httpx2.AsyncClient) -> None:
    await ingest(distributions=[{"csvwText": csvw("births", n=1)}])
    await ingest(landingPage="https://statistics.example/other", distributions=[{"csvwText": csvw("births", n=2)}])
    found = (await ask(NEWEST, id="births"))["datasets"]["nodes"]

    urls = [f"/resources/{one['resource']['id']}/datasets/births/latest" for one in found]
    got = [(await lab.get(url, follow_redirects=True)).json()["n"] for url in urls]

    assert got == [1, 2]


@pytest.mark.parametrize("hidden", [documents.Dataset, documents.DatasetVersion, documents.Distribution])
async def test_what_only_some_may_see_is_theirs_alone_and_kept_nowhere(
    lab: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, hidden: Any
) -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    found = await dataset()
    id = found["latestVersion"]["distribution"]["id"]
    hide(monkeypatch, hidden)

    latest = f"/datasets/{found['id']}/latest"
    by_name = f"/resources/{found['resource']['id']}/datasets/odd/latest"
    refused = [await lab.get(url) for url in (latest, by_name)]
    granted = [await lab.get(url, headers=AS_ADMIN) for url in (latest, by_name)]
    document = await lab.get(f"/distributions/{id}/csvw")
    for_admin = await lab.get(f"/distributions/{id}/csvw", headers=AS_ADMIN)

    assert [one.status_code for one in refused] == [404, 404]
    assert [(one.status_code, one.headers["cache-control"]) for one in granted] == [(307, "private, no-store")] * 2
    assert for_admin.content == ODD.encode()
    seen = hidden is not documents.Distribution
    assert document.status_code == (200 if seen else 404)
    assert for_admin.headers["cache-control"] == ("public, max-age=86400" if seen else "private, no-store")


async def test_hidden_and_unknown_are_answered_alike(lab: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    found = await dataset()
    hide(monkeypatch, documents.Dataset, documents.Distribution)

    pairs = [
        (f"/distributions/{found['latestVersion']['distribution']['id']}/csvw", "/distributions/distribution_0/csvw"),
        (f"/datasets/{found['id']}/latest", "/datasets/dataset_0/latest"),
        (f"/resources/{found['resource']['id']}/datasets/odd/latest", "/resources/resource_0/datasets/odd/latest"),
    ]
    for hidden, unknown in pairs:
        there, not_there = await lab.get(hidden), await lab.get(unknown)
        assert there.status_code == not_there.status_code == 404
        assert there.content == not_there.content
        assert there.headers["cache-control"] == "no-store"
        assert {*there.headers} == {*not_there.headers}


@pytest.mark.parametrize(
    "path",
    [
        "/distributions/{dataset}/csvw",
        "/datasets/{distribution}/latest",
        "/resources/{dataset}/datasets/odd/latest",
        "/resources/{resource}/datasets/none/latest",
        "/resources/{resource}/datasets//latest",
        "/distributions/%00/csvw",
        "/distributions/distribution_%00/csvw",
        "/distributions/distribution_%ff%fe/csvw",
        "/distributions/distribution_%24ne/csvw",
        "/distributions/" + "x" * 5_000 + "/csvw",
        "/datasets/dataset_%00/latest",
        "/resources/{resource}/datasets/%00/latest",
        "/resources/{resource}/datasets/..%2F..%2Fodd/latest",
    ],
)
async def test_what_is_none_is_not_there(lab: httpx2.AsyncClient, path: str) -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    found = await dataset()
    ids = {
        "dataset": found["id"],
        "resource": found["resource"]["id"],
        "distribution": found["latestVersion"]["distribution"]["id"],
    }

    got = await lab.get(path.format(**ids))

    assert got.status_code == 404
    assert got.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_dataset_without_versions_leads_nowhere(lab: httpx2.AsyncClient) -> None:
    await ingest()
    resource = (await dataset("births"))["resource"]["id"]
    create = "mutation ($input: CreateDatasetInput!) { createDataset(input: $input) { dataset { id } } }"
    made = await ask(create, WORKER, input={"resourceId": resource, "identifier": "empty"})

    got = await lab.get(f"/datasets/{made['createDataset']['dataset']['id']}/latest")

    assert got.status_code == 404


async def test_credentials_that_prove_nothing_are_refused(lab: httpx2.AsyncClient) -> None:
    await ingest(distributions=[{"csvwText": ODD}])

    got = await lab.get((await served())["csvwUrl"], headers={"authorization": "Bearer pg_wrong"})

    assert (got.status_code, got.headers["www-authenticate"]) == (401, "Bearer")
    assert ODD.encode() not in got.content


async def test_other_methods_are_not_allowed(lab: httpx2.AsyncClient) -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    url = (await served())["csvwUrl"]

    answers = [await lab.request(method, url) for method in ("POST", "PUT", "DELETE")]

    assert [one.status_code for one in answers] == [405] * 3


async def test_a_document_takes_one_read_and_the_newest_three(lab: httpx2.AsyncClient, round_trips: RoundTrips) -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    found = await dataset()

    with round_trips.counting() as seen:
        await lab.get(found["latestVersion"]["distribution"]["csvwUrl"])
        await lab.get(f"/datasets/{found['id']}/latest")

    assert seen == [
        ("find", "distributions"),
        ("find", "datasets"),
        ("find", "dataset_versions"),
        ("find", "distributions"),
    ]


@pytest.mark.usefixtures("database")
async def test_a_busy_server_refuses_anonymous_callers_first() -> None:
    await ingest(distributions=[{"csvwText": ODD}])
    url = (await served())["csvwUrl"]
    admission = Admission(Capacity(slots=4, memory=10**9))
    admission.point_reads = MAX_POINT_READS

    async with alone(admission) as client:
        refused = await client.get(url)
        granted = await client.get(url, headers=AS_ADMIN)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["errors"][0]["extensions"]["code"] == "OVERLOADED"
    assert granted.content == ODD.encode()


async def test_a_server_that_stops_answers_nothing_new() -> None:
    async with alone(Admission(Capacity(slots=4, memory=10**9)), closed="The server is stopping.") as client:
        refused = await client.get("/datasets/dataset_0/latest")

    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (503, "The server is stopping.")


def test_at_the_real_server_a_head_has_no_body_and_the_address_is_that_of_the_client(faulty_server: Running) -> None:
    given = report(organisationUrl="https://head.example", distributions=[{"dataset": "head", "csvwText": ODD}])
    payload = faulty_server.ask(
        "mutation ($input: IngestTransformInput!) { ingestTransform(input: $input) { published { distribution {"
        " csvwUrl } dataset { id } } } }",
        {"input": given},
    )["ingestTransform"]
    (version,) = payload["published"]
    url = version["distribution"]["csvwUrl"]

    got, head = faulty_server.client.get(url), faulty_server.client.head(url)
    there = faulty_server.client.head(
        f"{faulty_server.url}/datasets/{version['dataset']['id']}/latest", follow_redirects=True
    )

    assert url.startswith(f"{faulty_server.url}/distributions/")
    assert (got.status_code, got.content) == (200, ODD.encode())
    for one in (head, there):
        assert (one.status_code, one.content) == (200, b"")
        assert one.headers["content-length"] == str(len(ODD.encode()))
        assert one.headers["etag"] == got.headers["etag"]
    assert json.loads(got.content)["url"] == "odd.csv"
