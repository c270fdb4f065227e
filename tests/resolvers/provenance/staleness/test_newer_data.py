"""Documents, data elsewhere and jobs of which later ones are known."""

from datetime import datetime, timedelta
from typing import Any

import pytest

import documents
from documents.base import now
from documents.galaxy.generation import GenerationStatus
from documents.provenance.external_data import ExternalDataReport
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.provenance.staleness.causes import Cause, StalenessCauseKind
from resolvers.provenance.staleness.newer_dataset_versions import DISTRIBUTION_FIELDS, distribution_causes
from resolvers.provenance.staleness.newer_external_data import EXTERNAL_DATA_FIELDS, external_data_causes
from resolvers.provenance.staleness.newer_generations import generation_causes, grown_generation_causes
from tests.conftest import RoundTrips
from tests.resolvers.provenance.staleness.rows import rows_of
from tests.support.asking import ADMIN
from tests.support.builders import a_step, a_twin, a_user, an_execution, external_data, keep

pytestmark = pytest.mark.usefixtures("database")

AT = now()
URL = "https://files.example/rain.csv"
SAME = "0a" * 32


def newer(used: str, latest: str) -> list[Cause]:
    return [Cause(StalenessCauseKind.NEWER_DATA, used, latest)]


async def test_a_distribution_is_compared_with_the_latest_version_of_its_dataset(round_trips: RoundTrips) -> None:
    dataset = documents.Dataset(resource_ref="resource_1", identifier="rain")
    versions = [
        documents.DatasetVersion(dataset_ref=dataset.id, label=f"v{n}", ordinal=n, distribution_ref="") for n in (1, 2)
    ]
    dataset.latest_version_ref = versions[1].id
    distributions = [
        documents.Distribution(dataset_ref=dataset.id, version_ref=one.id, csvw="{}", sha256=SAME, size_bytes=2)
        for one in versions
    ]
    await keep(dataset, *versions, *distributions)
    rows = await rows_of(distributions, DISTRIBUTION_FIELDS)

    with round_trips.counting() as seen:
        causes = await distribution_causes(rows, ANONYMOUS)

    assert (causes.by_id, causes.unknown) == ({distributions[0].id: newer("v1", "v2")}, set())
    assert seen == [("find", "datasets"), ("find", "dataset_versions")]


def later(seconds: int) -> datetime:
    return AT + timedelta(seconds=seconds)


def a_state(n: int, *owners: documents.User, public: bool = True, **fields: Any) -> documents.ExternalData:
    """A state that was first told of after n seconds, by public activities or by private ones of these owners."""
    reports = [ExternalDataReport(owner_ref=owner.id, at=later(n)) for owner in owners]
    created_at = later(n) if public else None
    return external_data(
        *owners, **{"url": URL, "public": public, "created_at": created_at, "reports": reports, **fields}
    )


async def test_a_state_is_compared_with_the_last_one_told_of_at_its_url(round_trips: RoundTrips) -> None:
    states = [
        a_state(1, version="1"),
        a_state(2, sha256=SAME),
        a_state(9),
        a_state(4, version="4", sha256=SAME),
        a_state(5, version="5", url=f"{URL}.gz"),
    ]
    await keep(*states)
    rows = await rows_of(states, EXTERNAL_DATA_FIELDS)

    with round_trips.counting() as seen:
        causes = await external_data_causes(rows, ANONYMOUS)

    assert causes.by_id == {states[0].id: newer("1", "4")}
    assert causes.unknown == {states[2].id}
    assert seen == [("aggregate", "external_data")]


async def test_hundreds_of_states_are_compared_in_the_rounds_of_one(round_trips: RoundTrips) -> None:
    maria = a_user()
    urls = [f"{URL}?{number}" for number in range(150)]
    states = [a_state(n, maria, public=False, url=url, version=str(n)) for url in urls for n in (1, 2)]
    await keep(*states)
    rows = await rows_of(states[::2], EXTERNAL_DATA_FIELDS)

    with round_trips.counting() as seen:
        causes = await external_data_causes(rows, Viewer(Role.USER, maria.id))

    assert causes.by_id == {state.id: newer("1", "2") for state in states[::2]}
    assert seen == [("aggregate", "external_data")] * 2


async def test_what_private_runs_told_counts_for_those_who_may_see_them() -> None:
    maria, bruno, stranger = a_user(), a_user(), a_user()
    old = a_state(1, maria, public=False, version="1")
    new = a_state(2, bruno, public=False, version="2")
    execution = an_execution(a_twin(maria, reader_refs=[stranger.id]))
    await keep(old, new, a_step(execution, used=[Used(ref=old.id)]))
    (row,) = await rows_of([old], EXTERNAL_DATA_FIELDS)

    async def causes(viewer: Viewer) -> Any:
        found = await external_data_causes([row], viewer)
        return found.by_id.get(old.id, []), found.unknown

    # Nobody but administrators sees both: who sees the later one must not be told when the earlier one was.
    assert await causes(ADMIN) == (newer("1", "2"), set())
    assert await causes(Viewer(Role.USER, maria.id)) == await causes(Viewer(Role.USER, stranger.id)) == ([], set())
    assert await causes(Viewer(Role.USER, bruno.id)) == await causes(ANONYMOUS) == ([], {old.id})


async def test_who_may_see_both_runs_is_told_that_data_moved_on_between_them() -> None:
    maria, bruno = a_user(), a_user()
    old = a_state(1, maria, public=False, version="1")
    new = a_state(2, bruno, public=False, version="2")
    execution = an_execution(a_twin(maria, reader_refs=[bruno.id]))
    await keep(old, new, a_step(execution, used=[Used(ref=old.id)]))
    (row,) = await rows_of([old], EXTERNAL_DATA_FIELDS)

    causes = await external_data_causes([row], Viewer(Role.USER, bruno.id))

    assert (causes.by_id, causes.unknown) == ({old.id: newer("1", "2")}, set())


def test_a_generation_is_compared_with_the_reader_of_today() -> None:
    rows = [
        {"_id": f"generation_{version}", "parser_version": version, "status": GenerationStatus.ACTIVE.value}
        for version in ("9", "10", "11")
    ]
    discarded = rows[1] | {"_id": "generation_x", "status": GenerationStatus.DISCARDED.value}

    causes = generation_causes([*rows, discarded], "10")

    assert causes.by_id == {
        "generation_9": [Cause(StalenessCauseKind.NEWER_READER, "9", "10")],
        "generation_10": [],
        "generation_11": [],
        "generation_x": [Cause(StalenessCauseKind.WITHDRAWN)],
    }


async def test_generations_that_have_grown_are_found_at_what_used_them_before() -> None:
    entries = [("generation_0", "0a"), ("generation_1", "0b"), ("generation_2", "0a"), ("output_1", None)]
    users: list[dict[str, Any]] = [
        {"_id": "step_0", "used": [{"ref": ref, "contentHash": hash} for ref, hash in entries]},
        {"_id": "step_1", "used": None},
    ]
    generations = [{"_id": f"generation_{number}", "content_hash": "0b"} for number in range(2)]

    causes = await grown_generation_causes(generations, users)

    grown = Cause(StalenessCauseKind.NEWER_DATA, "0a", "0b", "generation_0")
    assert causes.by_id == {"step_0": [grown], "step_1": []}
