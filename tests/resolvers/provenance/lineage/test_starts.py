"""Starts of lineages: the nodes that stand for objects which are no nodes."""

from typing import Any

import pytest

import documents
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.provenance.lineage.starts import start_fields, starts_of
from resolvers.reads.rows import collection_of, find_rows
from tests.support import builders as new
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("shared_database")


async def starts(viewer: Viewer, *parents: Any, limit: int = 100) -> list[list[str]]:
    """The ids of the nodes that stand for objects of one kind."""
    document = type(parents[0])
    fields = frozenset({"_id", *start_fields(document)})
    rows = [row for one in parents for row in await find_rows(collection_of(document), {"_id": one.id}, fields)]
    return [sorted(row["_id"] for row in found) for found in await starts_of(rows, viewer, limit)]


def ids(*ones: Any) -> list[str]:
    return sorted(one.id for one in ones)


async def test_an_execution_stands_for_its_outputs_and_results_as_far_as_the_viewer_sees_them() -> None:
    owner = new.a_user()
    twin = new.a_twin(owner, public=True)
    first, second = new.an_execution(twin), new.an_execution(twin)
    steps = [new.a_step(first, ordinal=0), new.a_step(first, ordinal=1), new.a_step(second)]
    shown, hidden, other = (new.an_output(step, public=step is not steps[1]) for step in steps)
    result = new.a_result(first, [shown, hidden])
    await keep(owner, twin, first, second, *steps, shown, hidden, other, result)

    assert await starts(Viewer(Role.USER, owner.id), first, second) == [ids(shown, hidden, result), ids(other)]
    assert await starts(ANONYMOUS, first, second) == [ids(shown, result), ids(other)]


async def test_a_component_version_stands_for_its_steps_of_which_very_many_are_cut() -> None:
    owner = new.a_user()
    execution = new.an_execution(new.a_twin(owner, public=True))
    versions = [new.a_component_version(new.a_component()) for _ in range(3)]
    steps = [
        new.a_step(execution, ordinal=number, component_version_ref=versions[number % 2].id) for number in range(9)
    ]
    await keep(owner, execution, *versions, *steps)

    assert await starts(ANONYMOUS, *versions) == [ids(*steps[::2]), ids(*steps[1::2]), []]
    assert await starts(ANONYMOUS, *versions, limit=2) == [ids(*steps[::2])[:3], ids(*steps[1::2])[:3], []]


async def test_a_dataset_stands_for_the_distribution_of_its_latest_version() -> None:
    dataset = documents.Dataset(resource_ref="resource_1", identifier="rain", latest_version_ref="version_2")
    empty = documents.Dataset(resource_ref="resource_1", identifier="snow")
    versions = [
        documents.DatasetVersion(
            id=f"version_{n}", dataset_ref=dataset.id, label=str(n), ordinal=n, distribution_ref=f"distribution_{n}"
        )
        for n in (1, 2)
    ]
    distributions = [
        documents.Distribution(
            id=f"distribution_{n}",
            dataset_ref=dataset.id,
            version_ref=f"version_{n}",
            csvw="{}",
            sha256="0" * 64,
            size_bytes=2,
        )
        for n in (1, 2)
    ]
    await keep(dataset, empty, *versions, *distributions)

    assert await starts(ANONYMOUS, dataset, empty) == [["distribution_2"], []]
    assert await starts(ANONYMOUS, *versions) == [["distribution_1"], ["distribution_2"]]
    assert await starts(ANONYMOUS, *distributions) == [["distribution_1"], ["distribution_2"]]
