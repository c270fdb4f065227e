"""A library that was upgraded beyond what is known of it is used in its public ways, and the server says so."""

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from inspect import isfunction
from pathlib import Path

import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

from documents import private_apis
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.topology import FailFastTopology
from documents.private_apis import ALL, PrivateAPI
from graph.http.uvicorn_protocol import FastPathProtocol, WebSocketProtocol
from tests.support.needs import PROJECT
from tests.support.running import on_database, running

OTHER_VERSIONS = """
import graphql, pymongo, uvicorn
graphql.__version__, pymongo.__version__, uvicorn.__version__ = "99.1.0", "99.2.0", "99.3.0"
from graph.commands.main import main
main()
"""
WITHOUT_TYPE = """
import uvicorn._types
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.websockets import websockets_sansio_impl
del uvicorn._types.ASGI3Application
from graph.commands.main import main
main()
"""
PUBLIC_CALLBACKS = {"__init__", *dir(asyncio.Protocol), "on_body", "on_headers_complete", "on_message_complete"}
"""Methods whose names asyncio and httptools publish."""
OUR_PACKAGES = {"documents", "resolvers", "graph"}
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


def test_every_private_name_that_is_imported_is_listed() -> None:
    listed = tuple(name for api in ALL for name in api.names)
    imported = set(_private_imports())

    assert "pymongo.message:_op_msg" in imported
    assert [name for name in imported if not any(map(re.compile(_spellings(name)).match, listed))] == []


@pytest.mark.parametrize("cls", [FastPathProtocol, WebSocketProtocol, FailFastTopology])
def test_every_method_of_a_library_that_is_overridden_is_listed(cls: type) -> None:
    listed = {name.rpartition(".")[2] for api in ALL for name in api.names}
    ours = [base for base in cls.__mro__ if base.__module__.startswith(("graph.", "documents."))]
    libraries = [base for base in cls.__mro__ if base.__module__.startswith(("uvicorn.", "pymongo."))]
    overridden = {
        name
        for base in libraries
        for name, method in vars(base).items()
        if isfunction(method) and name not in PUBLIC_CALLBACKS and any(name in vars(own) for own in ours)
    }

    assert overridden - listed == set()


async def test_a_server_without_a_type_of_uvicorn_answers(mongod: EmbeddedMongo) -> None:
    env = on_database(mongod.uri, "test_without_type")
    with running(sys.executable, "-c", WITHOUT_TYPE, "serve", env=env) as server:
        answer = server.ask("{__typename}")

    assert answer == {"__typename": "Query"}


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


def _private_imports() -> Iterator[str]:
    """Each private name that a module imports from a library when it runs, as `module:name`."""
    for folder in ("documents", "resolvers", "graph"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in _runtime_nodes(path):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] not in OUR_PACKAGES:
                    names = [alias.name for alias in node.names]
                    yield from (f"{node.module}:{name}" for name in names if _is_private(f"{node.module}.{name}"))


def _spellings(name: str) -> str:
    """A pattern of the listed names that stand for an imported one: itself, its attributes, or a module's members."""
    module, _, member = name.partition(":")
    return rf"{re.escape(name)}(\.|$)|{re.escape(f'{module}.{member}')}:"


def _runtime_nodes(path: Path) -> Iterator[ast.AST]:
    """The nodes of a module, without those below `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def _is_private(name: str) -> bool:
    return any(re.match("_(?!_)", part) for part in name.split("."))
