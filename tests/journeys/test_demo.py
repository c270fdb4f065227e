"""The demo, as a stranger meets it."""

import re
from pathlib import Path

from graph.graphiql.html import example_queries
from tests.support.running import COMMAND, Running, running

CATALOGUE, TWINS, GALAXY = (tab["query"] for tab in example_queries()[:3])
EVERYTHING = """{ organisations { totalCount } resources { totalCount } datasets { totalCount }
  transforms { totalCount } users { totalCount } digitalTwins { totalCount } executions { totalCount }
  components { totalCount } instances { totalCount nodes { archives { totalCount } jobs { totalCount } } } }"""

RENAME_TWIN = "mutation($input:UpdateDigitalTwinInput!){updateDigitalTwin(input:$input){userErrors{code}}}"
RENAME_USER = "mutation($input:UpdateUserInput!){updateUser(input:$input){userErrors{code}}}"


def test_its_first_lines_say_where_to_look_where_the_data_is_and_how_to_stop(server: Running) -> None:
    said = server.log

    assert f"GraphiQL     {server.url}/#token={server.token}\n" in said
    assert f"Data         {server.directory / 'data'} " in said
    assert "Ctrl-C" in said
    # A machine that is busy enough may have something to warn of.
    before = said.partition("Ctrl-C")[0].splitlines()
    assert [line for line in before if re.match(r"\d{4}-.*\[info", line)] == []


def test_each_chain_is_answered_in_a_single_query(server: Running) -> None:
    catalogue = server.post(CATALOGUE, authorization=f"Bearer {server.token}")
    twins = server.post(TWINS, authorization=f"Bearer {server.token}")
    servers = server.post(GALAXY)

    assert list(catalogue.json()) == list(twins.json()) == list(servers.json()) == ["data"]
    (office,) = (one for one in catalogue.json()["data"]["organisations"]["nodes"] if one["resources"]["nodes"])
    versions = {
        dataset["identifier"]: [version["label"] for version in dataset["versions"]["nodes"]]
        for resource in office["resources"]["nodes"]
        for dataset in resource["datasets"]["nodes"]
    }
    assert sorted(versions.values()) == [["v1"], ["v1"], ["v1", "v2"], ["v1", "v2", "v3"]]
    assert len(set(re.findall(r'"commit":"([0-9a-f]{40})"', catalogue.text))) == 3
    assert len(re.findall(r'"fileName":"[^"]+"', twins.text)) > 0
    galaxy = next(one for one in servers.json()["data"]["instances"]["nodes"] if one["title"] == "Example Galaxy")
    declared = [count["count"] for archive in galaxy["archives"]["nodes"] for count in archive["declaredJobs"]]
    assert galaxy["activeGeneration"]["jobs"] == str(sum(map(int, declared))) == "1200"
    assert [len(job["metrics"]) for job in galaxy["jobs"]["nodes"]] == [2] * 5


def test_the_chains_lead_to_their_ends_for_anonymous_visitors_too(server: Running) -> None:
    catalogue, twins, galaxy = (server.post(query) for query in (CATALOGUE, TWINS, GALAXY))

    assert list(catalogue.json()) == list(twins.json()) == list(galaxy.json()) == ["data"]
    assert re.findall(r'"commit":"[0-9a-f]{40}"', catalogue.text)
    assert re.findall(r'"fileName":"[^"]+"', twins.text)
    assert re.findall(r'"externalId":"[^"]+"', galaxy.text)


def test_anonymous_visitors_see_what_is_public_and_write_nothing(server: Running) -> None:
    create = 'mutation{createOrganisation(input:{url:"https://no.example",name:"No"}){userErrors{code}}}'

    before = server.ask(EVERYTHING)
    refused = server.post(create).json()
    twins = server.post("{digitalTwins{nodes{public}}}").json()["data"]["digitalTwins"]["nodes"]

    assert refused["data"] == {"createOrganisation": {"userErrors": [{"code": "FORBIDDEN"}]}}
    assert server.ask(EVERYTHING) == before
    assert twins == [{"public": True}] * len(twins)
    assert 0 < len(twins) < before["digitalTwins"]["totalCount"]


def test_a_second_run_keeps_what_was_written_and_stores_the_sample_once(fast_directory: Path) -> None:
    directory = fast_directory / "demo"
    directory.mkdir()
    with running(*COMMAND, "demo", directory=directory) as first:
        first.ask('mutation{createOrganisation(input:{url:"https://mine.example",name:"Mine"}){userErrors{code}}}')
        (researcher,) = first.ask("{users{nodes{id digitalTwins{nodes{id}}}}}")["users"]["nodes"]
        changes = [{"id": twin["id"], "name": f"Mine {twin['id']}"} for twin in researcher["digitalTwins"]["nodes"]]
        renamed = [first.ask(RENAME_TWIN, {"input": change})["updateDigitalTwin"] for change in changes]
        renamed.append(first.ask(RENAME_USER, {"input": {"id": researcher["id"], "displayName": "me"}})["updateUser"])
        before = first.ask(EVERYTHING)
    with running(*COMMAND, "demo", directory=directory) as second:
        after = second.ask(EVERYTHING)

    assert renamed == [{"userErrors": []}] * 4
    assert after == before
    assert before["organisations"] == {"totalCount": 2}
    assert first.token != second.token
