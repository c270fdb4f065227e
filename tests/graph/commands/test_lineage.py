"""The lineage of an object on a terminal, asked of a real server."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.catalogue import report
from tests.support.running import COMMAND, ROOT, Running, command, environment, on_database, running

PUBLISH = """mutation ($input: IngestTransformInput!) { ingestTransform(input: $input) {
  resource { id } transform { id } published { id distribution { id } } userErrors { message } } }"""


class Published(NamedTuple):
    """A document on a server, and the ids of its version and of what made it."""

    server: Running
    resource: str
    version: str
    document: str
    transform: str


@pytest.fixture(scope="module")
def published(mongod: EmbeddedMongo) -> Iterator[Published]:
    with running(*COMMAND, "serve", env=on_database(mongod.uri, "test_lineage_command")) as server:
        payload = server.ask(PUBLISH, {"input": report(used=[])})["ingestTransform"]
        (version,) = payload["published"]
        ids = (payload["resource"]["id"], version["id"], version["distribution"]["id"], payload["transform"]["id"])
        yield Published(server, *ids)


def lineage(published: Published, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and messages of an anonymous caller's command."""
    done = command("lineage", *arguments, env=environment(ROOT, {"PROVENANCE_URL": published.server.url}))
    return done.returncode, done.stdout, done.stderr


def test_a_version_is_printed_as_a_tree_of_what_it_came_from(published: Published) -> None:
    code, printed, messages = lineage(published, published.version)

    first, *rest = printed.splitlines()
    assert first.endswith(f"  Distribution {published.document}")
    assert rest == [
        "Made from:",
        f"  └─ datasets/births/main.py @ a1a1a1a1  Transform SUCCEEDED {published.transform}",
        "Used for:",
        "  nothing known",
    ]
    assert (code, messages) == (0, "")


def test_json_is_the_answer_of_the_server_and_dot_a_graph(published: Published) -> None:
    _, as_json, _ = lineage(published, published.document, "--json", "--direction", "upstream", "--depth", "1")
    _, as_dot, _ = lineage(published, published.document, "--dot")

    edge = {"fromId": published.transform, "toId": published.document, "kind": "GENERATED", "isAssumed": False}
    assert json.loads(as_json)["lineage"]["edges"] == [edge]
    assert f'  "{published.transform}" -> "{published.document}";' in as_dot.splitlines()


def test_what_cannot_be_printed_ends_with_a_sentence(published: Published) -> None:
    unknown = "output_0123456789abcdef01234567"

    assert lineage(published, unknown) == (1, "", f"There is no object with id {unknown} that you may see.\n")
    _, _, no_lineage = lineage(published, published.resource)
    assert no_lineage == f"{published.resource} has no lineage: a Resource has no place in the provenance graph.\n"
    assert lineage(published, unknown, "--json", "--dot") == (2, "", "Give --json or --dot, not both.\n")
    assert lineage(published, unknown, "--url", "here")[0] == 2
