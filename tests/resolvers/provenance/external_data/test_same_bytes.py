"""Artifacts of ours with the bytes of data elsewhere, found for hundreds of states at once."""

import pytest

from resolvers.access.viewer import ANONYMOUS
from resolvers.provenance.external_data.same_bytes import same_bytes
from resolvers.reads.node_selection import NodeSelection
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("database")


async def test_the_outputs_with_the_bytes_of_hundreds_of_states_are_found_in_one_round_trip(
    round_trips: RoundTrips,
) -> None:
    step = new.a_step(new.an_execution(new.a_twin(new.a_user())))
    outputs = [new.an_output(step, public=True, sha256=f"{number:064x}") for number in range(150)]
    states = [new.external_data(sha256=output.sha256) for output in outputs]
    await keep(*outputs, *states)
    rows = [{"_id": state.id, "sha256": state.sha256} for state in states]

    with round_trips.counting() as seen:
        found = await same_bytes(rows, ANONYMOUS, fields_of=NodeSelection(lambda kind: frozenset({"_id"})))

    assert found == [{"_id": output.id} for output in outputs]
    assert seen == [("aggregate", "external_data")]
