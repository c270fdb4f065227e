"""Parameters of jobs through the schema: who may see their values."""

import pytest

from documents.galaxy.job import JobParameter
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.conftest import RoundTrips
from tests.support.asking import ask
from tests.support.ingestions import ActiveInstance, a_viewer


@pytest.fixture
async def owner(database: Database) -> Viewer:
    return await a_viewer()


async def test_values_of_parameters_are_for_owners_and_administrators_alone(owner: Viewer) -> None:
    kept, other = ActiveInstance(owner, public=True), ActiveInstance(await a_viewer(), public=True)
    values = [JobParameter(name="email", value='"me@people.example"'), JobParameter(name="n", value="[1.50, null]")]
    await kept.keep(kept.job(parameters=values))
    await other.keep(other.job(parameters=values))
    query = "{ instances { nodes { jobs { nodes { parameters { name value } } } } } }"
    owning_worker = Viewer(Role.WORKER, owner.user_id)
    seen = {}

    for name, viewer in {
        "anonymous": ANONYMOUS, "stranger": await a_viewer(), "worker": Viewer(Role.WORKER), "owner": owner,
        "worker of the owner": owning_worker, "admin": Viewer(Role.ADMIN),
    }.items():  # fmt: skip
        shown = (await ask(query, viewer))["instances"]["nodes"]
        seen[name] = [one["jobs"]["nodes"][0]["parameters"] for one in shown]

    whole = [{"name": "email", "value": "me@people.example"}, {"name": "n", "value": [1.5, None]}]
    redacted = [{"name": "email", "value": None}, {"name": "n", "value": None}]
    nobody = [redacted, redacted]
    assert seen == {
        "anonymous": nobody, "stranger": nobody, "worker": nobody, "owner": [whole, redacted],
        "worker of the owner": [whole, redacted], "admin": [whole, whole],
    }  # fmt: skip


async def test_who_owns_the_instances_of_many_jobs_is_one_look(owner: Viewer, round_trips: RoundTrips) -> None:
    several = [ActiveInstance(owner, public=True) for _ in range(3)]
    for kept in several:
        await kept.keep(*(kept.job(parameters=[JobParameter(name="p", value="1")]) for _ in range(5)))

    with round_trips.counting() as seen:
        shown = await ask("{ jobs { nodes { parameters { value } } } }", owner)

    assert [one["parameters"] for one in shown["jobs"]["nodes"]] == [[{"value": 1}]] * 15
    looked_up = ("distinct", "generations")
    assert sorted(seen) == [looked_up, looked_up, ("find", "instances"), ("find", "jobs")]
