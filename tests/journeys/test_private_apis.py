"""A library that was upgraded beyond what is known of it is used in its public ways, and the server says so."""

import re
import sys
from dataclasses import replace

import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

from documents import private_apis
from documents.embedded_mongod.server import EmbeddedMongo
from documents.private_apis import ALL, PrivateAPI
from tests.support.needs import PROJECT
from tests.support.running import on_database, running

OTHER_VERSIONS = """
import graphql, pymongo, uvicorn
graphql.__version__, pymongo.__version__, uvicorn.__version__ = "99.1.0", "99.2.0", "99.3.0"
from graph.commands.main import main
main()
"""
CREATE = """mutation($input:CreateOrganisationInput!){createOrganisation(input:$input){
  organisation{id} userErrors{code message}}}"""
CHAIN = "query($id:ID!){organisation(id:$id){url name resources{nodes{title datasets{nodes{identifier}}}}}}"


def test_the_installed_libraries_are_those_that_are_known() -> None:
    assert [api.problem for api in ALL] == [None] * len(ALL)


def test_the_documents_name_each_with_its_version() -> None:
    page = (PROJECT / "docs/development/private-apis.md").read_text(encoding="utf-8")
    tables = {name: api for name, api in vars(private_apis).items() if isinstance(api, PrivateAPI)}

    assert sorted(tables.values(), key=ALL.index) == list(ALL)
    assert [
        name for name, api in tables.items() if not re.search(rf"`{name}`: .*`{api.library}` {api.version} ", page)
    ] == []


@pytest.mark.parametrize("api", ALL, ids=lambda api: api.names[-1])
def test_a_name_that_is_gone_and_a_version_that_is_not_known_are_told(api: PrivateAPI) -> None:
    gone = replace(api, names=(*api.names, f"{api.library}:nothing"))
    newer = replace(api, version="0.1")

    assert str(gone.problem).endswith(f" has no {api.library}:nothing")
    assert str(newer.problem).endswith(" is installed, and the names are known for 0.1")


async def test_a_server_with_other_versions_answers_as_ever_and_warns(mongod: EmbeddedMongo) -> None:
    env = on_database(mongod.uri, "test_other_versions")
    with running(sys.executable, "-c", OTHER_VERSIONS, "serve", env=env) as server:
        organisation = {"url": "https://statistics.example", "name": "Statistics"}
        created = server.ask(CREATE, {"input": organisation})["createOrganisation"]
        found = server.ask(CHAIN, {"id": created["organisation"]["id"]})["organisation"]
        wrong = server.post("{nothing}")
        transport = WebsocketsTransport(f"{server.url.replace('http', 'ws')}/graphql")
        async with Client(transport=transport) as session:
            followed = await session.execute(gql("{__typename}"))
        log = server.log

    assert created["userErrors"] == []
    assert found == organisation | {"resources": {"nodes": []}}
    assert (wrong.status_code, wrong.json()["errors"][0]["extensions"]["code"]) == (400, "GRAPHQL_VALIDATION_FAILED")
    assert followed == {"__typename": "Query"}
    assert log.count("Private names of a library are not used") == len(ALL)
    for api in ALL:
        assert f"{api.library} 99." in log
        assert api.fallback in log
    assert "Traceback" not in log
