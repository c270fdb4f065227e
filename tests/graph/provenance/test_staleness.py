"""An artifact is stale when something upstream has moved on, fresh when nothing has and all is known."""

from typing import Any

import pytest

import documents
from documents.provenance.external_data import external_data_id
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Viewer
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.provenance.staleness import staleness as module
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, ask
from tests.support.builders import (
    a_generation,
    a_part,
    a_result,
    an_archive,
    an_ingestion,
    an_instance,
)
from tests.support.catalogue import code_repo, csvw, ingest
from tests.support.versions_world import MENDED, VersionsWorld

pytestmark = pytest.mark.usefixtures("database")


QUERY = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Artifact { staleness { status
  causes { kind node { id } used latest } } } } }"""


async def verdicts(*artifacts: documents.Document, viewer: Viewer = ANONYMOUS) -> list[Any]:
    """Status and causes of each artifact."""
    return await verdicts_of(*(one.id for one in artifacts), viewer=viewer)


async def verdicts_of(*ids: str, viewer: Viewer = ANONYMOUS) -> list[Any]:
    """Status and causes of the artifacts with these ids."""
    found = (await ask(QUERY, viewer, ids=ids))["nodes"]
    return [
        (one["status"], [(each["kind"], each["node"]["id"], each["used"], each["latest"]) for each in one["causes"]])
        for one in (node["staleness"] for node in found)
    ]


def newer_code(world: VersionsWorld, step: documents.Step) -> tuple[str, str, str, str]:
    return ("NEWER_CODE", step.id, world.old.commit_hash, MENDED)


async def test_what_has_moved_on_is_found_upstream_the_nearest_first() -> None:
    world = VersionsWorld()
    a = world.output(world.step())
    middle = world.step(a, version=world.old)
    b = world.output(middle)
    last = world.step(b, version=world.old)
    c = world.output(last)
    result = a_result(world.execution, [c])
    await world.keep(result)

    found = await verdicts(a, b, c, result)

    far = [newer_code(world, last), newer_code(world, middle)]
    assert found == [("FRESH", []), ("STALE", far[1:]), ("STALE", far), ("STALE", far)]


def a_distribution(
    transform: documents.Transform | None = None,
) -> tuple[documents.Distribution, list[documents.Document]]:
    """The document of the first of two versions of a dataset, and the rest of the dataset."""
    dataset = documents.Dataset(resource_ref="resource_1", identifier=f"rain-{transform is None}")
    versions = [
        documents.DatasetVersion(dataset_ref=dataset.id, label=f"v{n}", ordinal=n, distribution_ref="") for n in (1, 2)
    ]
    dataset.latest_version_ref = versions[1].id
    fields: dict[str, Any] = {"dataset_ref": dataset.id, "csvw": "{}", "sha256": "0a" * 32, "size_bytes": 2}
    ref = transform.id if transform else None
    return documents.Distribution(version_ref=versions[0].id, transform_ref=ref, **fields), [dataset, *versions]


async def test_a_later_version_matters_to_what_the_earlier_one_was_used_for() -> None:
    world = VersionsWorld()
    distribution, dataset = a_distribution()
    output = world.output(world.step(distribution))
    await world.keep(distribution, *dataset)

    found = await verdicts(distribution, output)

    assert found == [("UNKNOWN", []), ("STALE", [("NEWER_DATA", distribution.id, "v1", "v2")])]


async def test_versions_are_judged_by_their_own_code_and_by_what_they_read() -> None:
    url, commits = "https://files.example/births.csv", ["a1" * 20, "b2" * 20, "c3" * 20]
    reads: list[dict[str, str]] = [{"url": url, "version": "1"}, {"url": url}, {"url": url, "version": "2"}]
    for commit, used in zip(commits, reads, strict=True):
        documents_made = [{"csvwText": csvw("births", commit=commit)}]
        await ingest(codeRepo=code_repo(commit=commit), distributions=documents_made, used=[used])
    query = "{ datasets { nodes { versions { nodes { distribution { id transform { id } } } } } } }"
    (dataset,) = (await ask(query))["datasets"]["nodes"]
    made = [version["distribution"] for version in dataset["versions"]["nodes"]]

    found = await verdicts_of(*(one["id"] for one in made))

    code = [("NEWER_CODE", one["transform"]["id"], used, commits[2]) for one, used in zip(made, commits, strict=True)]
    data = ("NEWER_DATA", external_data_id(url, "1", None), "1", "2")
    assert found == [("STALE", [code[0], data]), ("STALE", [code[1]]), ("FRESH", [])]


async def test_jobs_are_stale_once_reports_are_read_otherwise() -> None:
    world = VersionsWorld()
    instance = an_instance(public=True)
    archive = an_archive(instance)
    now, before, empty = (
        a_generation(instance, status=status, parser_version=version)
        for status, version in (("ACTIVE", PARSER_VERSION), ("RETIRED", "0"), ("DISCARDED", PARSER_VERSION))
    )
    ingestions = [an_ingestion(instance, one) for one in (now, before)]
    parts = [a_part(one, archive, status="SUCCEEDED") for one in ingestions]
    output = world.output(world.step(now, before))
    await world.keep(instance, archive, now, before, empty, *ingestions, *parts)

    found = await verdicts(now, before, empty, output, archive)

    old = [("NEWER_READER", before.id, "0", PARSER_VERSION)]
    gone = [("WITHDRAWN", empty.id, None, None)]
    assert found == [("FRESH", []), ("STALE", old), ("STALE", gone), ("STALE", old), ("FRESH", [])]


async def test_what_was_made_of_jobs_is_stale_once_there_are_more_of_them() -> None:
    world = VersionsWorld()
    instance = an_instance(public=True)
    generation = a_generation(instance, status="ACTIVE", parser_version=PARSER_VERSION, content_hash="0b")
    ingestion = an_ingestion(instance, generation)
    step, other = world.step(generation), world.step(generation)
    for one, content_hash in ((step, "0a"), (other, "0b")):
        one.used = [Used(ref=generation.id, content_hash=content_hash)]
    before, now = world.output(step), world.output(other)
    await world.keep(instance, generation, ingestion)

    found = await verdicts(before, now, generation)

    assert found == [("STALE", [("NEWER_DATA", generation.id, "0a", "0b")]), ("FRESH", []), ("FRESH", [])]


async def test_nothing_is_fresh_unless_all_upstream_is_known() -> None:
    world = VersionsWorld()
    hidden = world.output(world.step(), public=False)
    incomplete = [
        world.step(used=None),
        world.step(code=[]),
        world.step(Used(ref=hidden.id, assumed=True)),
        world.step(Used(ref="output_0123456789abcdef01234567")),
        world.step(hidden),
        world.step(component_version_ref="release_0123456789abcdef01234567"),
    ]
    outputs = [world.output(step) for step in incomplete]
    below = world.output(world.step(outputs[0]))
    stale = world.output(world.step(outputs[0], version=world.old))
    await world.keep()

    found = await verdicts(*outputs, below, stale)
    for_admin = await verdicts(*outputs, viewer=ADMIN)

    assert [status for status, _ in found] == [*["UNKNOWN"] * 7, "STALE"]
    assert [status for status, _ in for_admin] == [*["UNKNOWN"] * 4, "FRESH", "UNKNOWN"]


async def test_beyond_its_bounds_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    world = VersionsWorld()
    outputs = [world.output(world.step(version=world.old))]
    for _ in range(5):
        outputs.append(world.output(world.step(outputs[-1])))
    await world.keep()
    oldest = ("STALE", [newer_code(world, world.kept[3])])

    assert await verdicts(*outputs[-2:]) == [oldest, ("UNKNOWN", [])]
    monkeypatch.setattr(module, "MAX_STALENESS_NODES", 5)
    assert await verdicts(*outputs[:4]) == [oldest, oldest, ("UNKNOWN", []), ("UNKNOWN", [])]


async def test_of_many_causes_the_nearest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = VersionsWorld()
    far = world.step(version=world.old)
    near = world.step(world.output(far), version=world.old)
    output = world.output(near)
    await world.keep()
    monkeypatch.setattr(module, "MAX_STALENESS_CAUSES", 1)

    assert await verdicts(output) == [("STALE", [newer_code(world, near)])]


async def test_many_artifacts_take_no_more_round_trips_than_one(round_trips: RoundTrips) -> None:
    world = VersionsWorld()
    first = world.output(world.step())
    outputs = [world.output(world.step(first, version=world.old)) for _ in range(20)]
    await world.keep()
    asked: list[list[tuple[str, str]]] = []

    for some in (outputs[:1], outputs):
        with round_trips.counting() as seen:
            found = await verdicts(*some)
        asked.append(seen)

    assert {status for status, _ in found} == {"STALE"}
    assert asked[1] == asked[0]
    assert asked[0][-2:] == [("find", "versions"), ("find", "components")]
