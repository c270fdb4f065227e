"""What made an artifact, from what, and what of that is not known."""

from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support import builders as new
from tests.support.asking import ADMIN, ask
from tests.support.builders import COMMIT, REPOSITORY, keep
from tests.support.lineage_world import START, LineageWorld, a_document

pytestmark = pytest.mark.usefixtures("database")

STRANGER = Viewer(Role.USER, "user_none")
QUERY = """query ($id: ID!, $first: Int, $after: String) { node(id: $id) { ... on Artifact { provenance {
  generatedBy { caption } code { repository commit path } parameters
  derivedFrom(first: $first, after: $after) { nodes { caption } pageInfo { hasNextPage endCursor } totalCount } gaps
} } } }"""
NOTHING: dict[str, Any] = {
    "generatedBy": None,
    "code": [],
    "parameters": None,
    "derivedFrom": {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}, "totalCount": 0},
}


async def provenance(artifact: documents.Document, viewer: Viewer = ADMIN, **given: Any) -> Any:
    """The provenance of an artifact."""
    return (await ask(QUERY, viewer, id=artifact.id, **given))["node"]["provenance"]


def summary(found: Any) -> tuple[str | None, list[str], int, list[str]]:
    """The run, what the artifact was made of and how much of that there is, and the gaps."""
    run, inputs = found["generatedBy"], found["derivedFrom"]
    return run and run["caption"], [one["caption"] for one in inputs["nodes"]], inputs["totalCount"], found["gaps"]


async def test_the_provenance_of_an_output_is_that_of_its_step() -> None:
    world = LineageWorld()
    await world.begin()

    found = await provenance(world.counts)

    assert found.pop("derivedFrom")["nodes"] == [{"caption": "4,759 jobs from 2 reports"}]
    assert found == {
        "generatedBy": {"caption": "load"},
        "code": [{"repository": REPOSITORY, "commit": COMMIT, "path": None}],
        "parameters": {"YEAR": 2024},
        "gaps": [],
    }


async def test_artifacts_of_each_kind_have_a_provenance() -> None:
    world = LineageWorld()
    await world.begin()

    found = {one.kind: await provenance(one) for one in (world.maps[1], world.document, world.generation, world.result)}

    jobs = "4,759 jobs from 2 reports"
    assert {kind: summary(one) for kind, one in found.items()} == {
        "output": ("draw", [jobs, "counts.csv"], 2, []),
        "distribution": ("maps/main.py @ 01234567", ["map2.svg"], 1, []),
        "generation": (
            "Ingest of 2024-03-01 00:00", ["Report 150183650.0", "Report 150183651.0"], 2, ["CODE_UNKNOWN"]),
        "result": (None, ["map2.svg", "counts.csv"], 2, []),
    }  # fmt: skip
    assert {one["parameters"] for one in found.values()} == {None}


async def test_what_comes_from_outside_has_no_provenance() -> None:
    world = LineageWorld()
    lonely = a_document(None)
    await keep(*world.kept, lonely)

    assert await provenance(world.reports[0]) == NOTHING | {"gaps": []}
    assert await provenance(lonely) == NOTHING | {"gaps": ["RUN_UNKNOWN"]}


async def test_a_generation_comes_of_all_reports_that_were_merged_and_of_the_last_ingestion() -> None:
    world = LineageWorld()
    later = new.an_ingestion(world.instance, world.generation, created_at=START.replace(hour=1))
    report = new.an_archive(world.instance, identifier="150183659.0")
    end = START.replace(hour=2)
    parts = [
        new.a_part(later, report, status=ActivityStatus.SUCCEEDED, ended_at=end),
        new.a_part(later, world.reports[2], status=ActivityStatus.CANCELLED, holds=False, ended_at=end),
    ]
    idle = new.an_ingestion(world.instance, world.generation, created_at=START.replace(hour=3))
    await keep(*world.kept, later, report, *parts, idle)

    first = await provenance(world.generation, first=2)
    rest = await provenance(world.generation, after=first["derivedFrom"]["pageInfo"]["endCursor"])

    merged = ["Report 150183650.0", "Report 150183651.0", "Report 150183659.0"]
    assert summary(first) == ("Ingest of 2024-03-01 01:00", merged[:2], 3, ["CODE_UNKNOWN"])
    assert [one["caption"] for one in rest["derivedFrom"]["nodes"]] == merged[2:]


@pytest.mark.parametrize(
    ("step", "gaps"),
    [
        ({"used": []}, []),
        ({"used": None}, ["INPUTS_UNKNOWN"]),
        ({"used": [], "used_truncated": True}, ["INPUTS_UNKNOWN"]),
        ({"used": None, "code": []}, ["CODE_UNKNOWN", "INPUTS_UNKNOWN"]),
        ({"used": [Used(ref="output_none", assumed=True)]}, ["INPUTS_UNKNOWN"]),
    ],
)
async def test_gaps_say_what_nobody_recorded(step: dict[str, Any], gaps: list[str]) -> None:
    world = LineageWorld()
    run = new.a_step(world.execution, key="run", ordinal=2, **step)
    output = new.an_output(run)
    await keep(*world.kept, run, output)

    assert summary(await provenance(output)) == ("run", [], 0, gaps)


async def test_an_assumed_state_is_a_gap() -> None:
    world = LineageWorld()
    world.draw.used = [Used(ref=world.generation.id), Used(ref=world.document.id, assumed=True)]
    await world.begin()

    assert (await provenance(world.maps[0]))["gaps"] == ["INPUTS_ASSUMED"]


async def test_a_hidden_run_is_an_unknown_one_to_anonymous_callers_and_restricted_to_others() -> None:
    world = LineageWorld()
    world.maps[1].access_control.public = True
    unknown = new.an_output(new.a_step(world.execution, key="gone"), public=True)
    await keep(*world.kept, unknown)

    found = [
        await provenance(output, viewer) for viewer in (ANONYMOUS, STRANGER) for output in (world.maps[1], unknown)
    ]

    assert found[:2] == [NOTHING | {"gaps": ["RUN_UNKNOWN"]}] * 2
    assert found[2:] == [NOTHING | {"gaps": ["RESTRICTED"]}] * 2
    assert await provenance(unknown, ADMIN) == NOTHING | {"gaps": ["RUN_UNKNOWN"]}


async def test_hidden_inputs_are_told_to_those_who_are_signed_in() -> None:
    world = LineageWorld(public=True)
    world.maps[1].access_control.public = world.maps[0].access_control.public = True
    world.draw.used = [Used(ref=world.maps[1].id), Used(ref=world.counts.id), Used(ref=world.generation.id)]
    world.load.used = [Used(ref=world.generation.id, assumed=True)]
    world.counts.access_control.public = True
    await world.begin()
    counts = ["map2.svg", "counts.csv"]

    assert summary(await provenance(world.maps[0])) == ("draw", [*counts, "4,759 jobs from 2 reports"], 3, [])
    assert summary(await provenance(world.maps[0], STRANGER)) == ("draw", counts, 2, ["RESTRICTED"])
    assert summary(await provenance(world.maps[0], ANONYMOUS)) == ("draw", counts, 2, [])
    # Where all is hidden, an anonymous caller sees no difference to a run of which nobody said anything.
    assert summary(await provenance(world.counts, STRANGER)) == ("load", [], 0, ["RESTRICTED"])
    assert summary(await provenance(world.counts, ANONYMOUS)) == ("load", [], 0, ["INPUTS_UNKNOWN"])


async def test_a_result_with_hidden_outputs_is_restricted() -> None:
    world = LineageWorld(public=True)
    world.counts.access_control.public = True
    await world.begin()

    found = [summary(await provenance(world.result, viewer)) for viewer in (ADMIN, STRANGER, ANONYMOUS)]

    assert found == [
        (None, ["map2.svg", "counts.csv"], 2, []),
        (None, ["counts.csv"], 1, ["RESTRICTED"]),
        (None, ["counts.csv"], 1, []),
    ]


async def test_the_provenance_of_many_artifacts_is_read_at_once(round_trips: Any) -> None:
    world = LineageWorld()
    outputs = [new.an_output(step, attempt=1) for step in (world.load, world.draw) for _ in range(20)]
    await keep(*world.kept, *outputs)
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Output { provenance {
      generatedBy { caption status } code { commit } gaps derivedFrom { nodes { caption } } } } } }"""

    with round_trips.counting() as seen:
        await ask(query, ADMIN, ids=[output.id for output in outputs])

    # The outputs, their steps with what these used, and that itself, for `gaps` and for `derivedFrom`.
    assert [collection for _, collection in seen[:2]] == ["outputs", "steps"]
    assert sorted(collection for _, collection in seen[2:]) == ["generations"] * 2 + ["outputs"] * 2
