"""Clients that name a document by its hash: they are told that none are kept, and send the document."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.needs import need_npm_packages
from tests.support.patience import within
from tests.support.running import GRAPHQL_JSON, Running

HERE = Path(__file__).parent
JSON = "application/json"
HASHED = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}
BY_APOLLO_IOS = f"multipart/mixed;deferSpec=20220824,{GRAPHQL_JSON},{JSON}"
ERRORS = [
    {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}},
    {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}},
]


@pytest.mark.parametrize(
    ("accept", "status", "media"),
    [("*/*", 200, JSON), (JSON, 200, JSON), (BY_APOLLO_IOS, 200, JSON), (GRAPHQL_JSON, 400, GRAPHQL_JSON)],
)
@pytest.mark.parametrize("document", [{}, {"query": None}, {"query": ""}])
def test_a_hash_without_its_document_is_not_supported(
    faulty_server: Running, accept: str, status: int, media: str, document: dict[str, Any]
) -> None:
    response = faulty_server.send(json.dumps(HASHED | document), accept=accept)

    assert (response.status_code, response.headers["content-type"]) == (status, f"{media}; charset=utf-8")
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"errors": ERRORS}


def test_a_hash_in_the_address_is_not_supported(faulty_server: Running) -> None:
    asked = {"operationName": "A", "extensions": json.dumps(HASHED["extensions"])}

    response = faulty_server.get("/graphql", params=asked, headers={"accept": JSON})

    assert (response.status_code, response.json()) == (200, {"errors": ERRORS})


def test_a_document_is_run_whatever_hash_comes_with_it(faulty_server: Running) -> None:
    response = faulty_server.send(json.dumps(HASHED | {"query": "{hello}"}))

    assert response.json() == {"data": {"hello": "world"}}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("client", ["apollo", "urql"])
def test_clients_send_their_documents_and_no_more_hashes(server: Running, client: str, method: str) -> None:
    modules = need_npm_packages(HERE / "package.json")
    command = ["node", str(HERE / "ask.mjs"), str(modules), f"{server.url}/graphql", client, method]

    done = subprocess.run(command, capture_output=True, text=True, timeout=within(), check=True)

    told = json.loads(done.stdout)
    assert told["answers"] == ["ANONYMOUS", "ANONYMOUS"]
    assert told["sent"][0] == {"method": method, "document": False, "hash": True}
    assert [one["document"] for one in told["sent"][1:]] == [True, True]
    assert told["sent"][2]["hash"] is False
