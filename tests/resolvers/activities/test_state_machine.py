"""The state machine of steps and transforms."""

from itertools import product

import pytest

import documents
from documents.activities.activity import OPEN, ActivityStatus
from documents.base import now
from resolvers.activities.state_machine import TRANSITIONS, Transition, apply_transition
from resolvers.reads.rows import collection_of
from tests.support.builders import a_step, a_twin, a_user, an_execution, everything_kept, keep

pytestmark = pytest.mark.usefixtures("database")

PENDING, READY, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED = ActivityStatus
ALLOWED = {
    (PENDING, READY),
    (PENDING, CANCELLED),
    (READY, RUNNING),
    (READY, CANCELLED),
    (RUNNING, RUNNING),
    (RUNNING, READY),
    (RUNNING, SUCCEEDED),
    (RUNNING, FAILED),
    (RUNNING, CANCELLED),
}


def test_the_table_allows_these_pairs_of_states_and_no_others() -> None:
    pairs = {(before, after) for before, after in product(ActivityStatus, repeat=2) if after in statuses_after(before)}

    assert pairs == ALLOWED


def test_terminal_states_are_never_left() -> None:
    assert [status for status in ActivityStatus if status not in OPEN and statuses_after(status)] == []


@pytest.mark.parametrize(("what", "before"), list(product(Transition, ActivityStatus)))
async def test_a_move_leads_on_from_where_the_table_says_and_else_changes_nothing(
    what: Transition, before: ActivityStatus
) -> None:
    step = a_step(an_execution(a_twin(a_user())), status=before)
    await keep(step)
    kept = await everything_kept()

    moved = await apply_transition(documents.Step, what, {"_id": step.id}, {}, now(), None)

    if before in TRANSITIONS[what].before:
        assert moved is not None
        assert moved["status"] == TRANSITIONS[what].after
        assert (await collection_of(documents.Step).find_one({"_id": step.id})) == moved
    else:
        assert moved is None
        assert await everything_kept() == kept


def statuses_after(before: ActivityStatus) -> set[ActivityStatus]:
    """The states that one transition leads to."""
    return {rule.after for rule in TRANSITIONS.values() if before in rule.before}
