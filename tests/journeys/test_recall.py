"""The journey of a recall: a commit turns out to be wrong, and everything that came of it is found and mended."""

from collections.abc import Iterator
from typing import Any

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.journeys.people import Program, Somebody
from tests.support.catalogue import code_repo, csvw
from tests.support.galaxies import Galaxy, a_report
from tests.support.patience import until
from tests.support.running import COMMAND, on_database, running
from tests.support.working import plain_yml

COUNTER, CHART = "https://code.example/tools/counter", "https://code.example/tools/chart"
BAD, MENDED, OTHER = "bad0bad0" * 5, "900d900d" * 5, "c0" * 20

INGESTED = "query ($id: ID) { instance(id: $id) { ingestions { nodes { status generation { id } } } } }"
RECALL = """query ($repository: String!, $commits: [String!]!) {
  codeImpact(repository: $repository, commits: $commits, first: 100) { totalCount nodes { id lineage(
    direction: DOWNSTREAM) { truncatedBy restricted nodes { distance node { __typename id
      ... on Distribution { dataset { resource { organisation { name } } } } } } } } } }"""
LINEAGE = """query ($id: ID!) { node(id: $id) { ... on Traceable { lineage(direction: UPSTREAM) {
  truncatedBy restricted nodes { node { id } } } } } }"""
STALENESS = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Artifact { staleness { status
  causes { kind used latest node { id } } } } } }"""
PUBLISHED = "published { label distribution { id transform { id } } }"


def count(parameters: dict[str, Any], inputs: list[bytes]) -> bytes:
    """The output of the counter."""
    return b"tool,jobs\ncat1,2\n"


def chart(parameters: dict[str, Any], inputs: list[bytes]) -> bytes:
    """The output of the chart: a line for each input."""
    return b"".join(b"%d bytes\n" % len(content) for content in inputs)


PROGRAMS: dict[str, Program] = {"count": count, "chart": chart}


@pytest.fixture
def admin(mongod: EmbeddedMongo) -> Iterator[Somebody]:
    """An administrator of a server beside which a worker ingests reports."""
    env = on_database(mongod.uri, "test_recall") | {"PROVENANCE_WORKERS": "1"}
    with running(*COMMAND, "serve", env=env) as server:
        yield Somebody(server, server.token)


def test_what_a_bad_commit_made_is_found_downstream_and_made_again(admin: Somebody) -> None:
    # A report of a Galaxy server becomes jobs.
    person = {"displayName": "A user", "email": "a-user@people.example"}
    user = admin.do("createUser", "user { id }", **person)["user"]["id"]
    galaxy = Galaxy.new(admin.server, ownerIds=[user])
    galaxy.upload(a_report())
    generation, report = _generation_and_report(galaxy)

    # A step counts them, at a commit that will turn out to be wrong; another one draws the counts.
    bad = admin.register_version(plain_yml(), COUNTER, "1.0.0", BAD)
    drawing = admin.register_version(plain_yml(), CHART, "1.0.0", OTHER)
    steps = [
        {"key": "count", "componentVersionId": bad, "used": [{"id": generation}]},
        {"key": "chart", "componentVersionId": drawing, "dependsOn": ["count"]},
    ]
    twin = admin.do("createDigitalTwin", "digitalTwin { id }", name="tools", ownerId=user)["digitalTwin"]["id"]
    asked = {"digitalTwinId": twin, "title": "use of tools", "steps": steps}
    run = _run(admin, admin.do("createExecution", "execution { id }", **asked)["execution"]["id"])

    # An office publishes the chart, and another one makes a document of its own from that.
    first = _publish(admin, "Office", run["chart"]["output"], title="Use of tools")
    second = _publish(admin, "Ministry", first["distribution"]["id"], title="Tools of the country")
    old = [run["count"]["output"], run["chart"]["output"], first["distribution"]["id"], second["distribution"]["id"]]
    assert _staleness(admin, generation, *old) == [("FRESH", [])] * 5

    # The commit is found to be wrong. Where has it got to, and who published it?
    impact = _recall(admin, "git@code.example:tools/counter.git", BAD[:7])
    upstream = admin.ask(LINEAGE, id=old[3])["node"]["lineage"]
    assert impact == {
        old[0]: [
            (0, "Output", old[0], None),
            (1, "Step", run["chart"]["id"], None),
            (2, "Output", old[1], None),
            (3, "Transform", first["distribution"]["transform"]["id"], None),
            (4, "Distribution", old[2], "Office"),
            (5, "Transform", second["distribution"]["transform"]["id"], None),
            (6, "Distribution", old[3], "Ministry"),
        ]
    }
    assert (upstream["truncatedBy"], upstream["restricted"]) == ([], 0)
    assert {run["count"]["id"], generation, report} <= {one["node"]["id"] for one in upstream["nodes"]}

    # A mended version is registered, and the bad one is deprecated.
    mended = admin.register_version(plain_yml(), COUNTER, "1.0.1", MENDED)
    newer_code = ("NEWER_CODE", run["count"]["id"], BAD, MENDED)
    assert _staleness(admin, *old) == [("STALE", [newer_code])] * 4
    admin.do("deprecateComponentVersion", "componentVersion { id }", id=bad)
    withdrawn = ("WITHDRAWN", run["count"]["id"], "1.0.0", "1.0.1")
    assert _staleness(admin, *old) == [("STALE", [newer_code, withdrawn])] * 4

    # The execution is run again with it, and both documents are published anew.
    override = {"stepKey": "count", "componentVersionId": mended}
    again = {"executionId": run["execution"], "componentVersionOverrides": [override]}
    rerun = _run(admin, admin.do("rerunExecution", "execution { id }", **again)["execution"]["id"])
    first_again = _publish(admin, "Office", rerun["chart"]["output"], title="Use of tools, corrected")
    newer_data = ("NEWER_DATA", old[2], "v1", "v2")
    of_the_code = [newer_code, withdrawn]
    assert _staleness(admin, *old) == [("STALE", of_the_code)] * 3 + [("STALE", [newer_data, *of_the_code])]
    second_again = _publish(admin, "Ministry", first_again["distribution"]["id"], title="Tools, corrected")

    # What is made now is up to date, what was made before never will be, and the recall is as long as before.
    made = [rerun[key]["output"] for key in PROGRAMS]
    made += [one["distribution"]["id"] for one in (first_again, second_again)]
    assert (first_again["label"], second_again["label"]) == ("v2", "v2")
    assert _staleness(admin, *made) == [("FRESH", [])] * 4
    assert _staleness(admin, *old) == [("STALE", of_the_code)] * 3 + [("STALE", [newer_data, *of_the_code])]
    assert _recall(admin, COUNTER, BAD) == impact
    assert [id for _, _, id, _ in _recall(admin, COUNTER, MENDED)[made[0]]][::2] == made

    # Everybody sees the documents, and that one was made from an earlier version of the other; of the runs, nothing.
    seen = _verdicts(admin.server.post(STALENESS, {"ids": [*old, *made]}).json()["data"])
    unknown: tuple[str, list[Any]] = ("UNKNOWN", [])
    assert seen == [None, None, unknown, ("STALE", [newer_data]), None, None, unknown, unknown]


def _generation_and_report(galaxy: Galaxy) -> tuple[str, str]:
    """The ids of the generation that a server's only report became, and of the report."""

    def generations() -> list[str]:
        ingestions = galaxy.server.ask(INGESTED, {"id": galaxy.id})["instance"]["ingestions"]["nodes"]
        return [one["generation"]["id"] for one in ingestions if one["status"] == "SUCCEEDED"]

    (generation,) = until(generations, shown=lambda: galaxy.server.log[-2000:])
    (report,) = galaxy.archives("id")
    return generation, report["id"]


def _run(admin: Somebody, execution: str) -> dict[str, Any]:
    """Run an execution; the ids of its steps and of their outputs, by key, and its own."""
    reports = admin.work_off(PROGRAMS)
    assert reports[-1] == {"status": "SUCCEEDED", "execution": {"id": execution, "status": "SUCCEEDED"}}
    found = admin.node(execution, "... on Execution { steps { nodes { id key outputs { nodes { id } } } } }")
    steps = {
        step["key"]: {"id": step["id"], "output": step["outputs"]["nodes"][0]["id"]} for step in found["steps"]["nodes"]
    }
    return {"execution": execution, **steps}


def _publish(admin: Somebody, name: str, used: str, title: str) -> Any:
    """The version of the only dataset of an organisation, made from one artifact."""
    site = f"https://{name.lower()}.example"
    given: dict[str, Any] = {
        "organisationUrl": site,
        "organisationName": name,
        "landingPage": f"{site}/tools",
        "codeRepo": code_repo(directory=f"pipelines/{name.lower()}"),
        "distributions": [{"csvwText": csvw("tools", **{"dc:title": title})}],
        "used": [{"id": used}],
    }
    (version,) = admin.do("ingestTransform", PUBLISHED, **given)["published"]
    return version


def _recall(admin: Somebody, repository: str, commit: str) -> dict[str, list[tuple[int, str, str, str | None]]]:
    """What a commit made, each with all that is downstream of it: distance, type, id, and who published it."""
    found = admin.ask(RECALL, repository=repository, commits=[commit])["codeImpact"]
    assert found["totalCount"] == len(found["nodes"])
    assert [(one["lineage"]["truncatedBy"], one["lineage"]["restricted"]) for one in found["nodes"]] == [([], 0)]
    return {
        artifact["id"]: [
            (one["distance"], node["__typename"], node["id"], _publisher(node))
            for one in artifact["lineage"]["nodes"]
            for node in [one["node"]]
        ]
        for artifact in found["nodes"]
    }


def _publisher(node: Any) -> str | None:
    """The name of the organisation that published a document."""
    return node["dataset"]["resource"]["organisation"]["name"] if "dataset" in node else None


def _staleness(admin: Somebody, *ids: str) -> list[Any]:
    """Status and causes of artifacts, each cause with its node, what was used of it, and what there is now."""
    return _verdicts(admin.ask(STALENESS, ids=ids))


def _verdicts(found: Any) -> list[Any]:
    def cause(shown: Any) -> tuple[str, str, str, str]:
        return shown["kind"], shown["node"]["id"], shown["used"], shown["latest"]

    return [
        node and (node["staleness"]["status"], [cause(one) for one in node["staleness"]["causes"]])
        for node in found["nodes"]
    ]
