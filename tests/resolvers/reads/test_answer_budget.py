"""An answer holds exactly as much as its limits say."""

import pytest

from resolvers.reads.answer_budget import AnswerBudget, AnswerLimits, AnswerTooLarge

LIMITS = AnswerLimits(objects=10, bytes=100)


def test_the_last_object_and_the_last_byte_are_within_the_limit_and_the_next_is_not() -> None:
    budget = AnswerBudget(LIMITS)

    budget.add_objects(10)
    budget.add_bytes(99)
    assert budget.bytes_left == 1
    budget.add_bytes(1)
    budget.check_text(100)
    budget.add_stored_bytes(LIMITS.stored_bytes)

    with pytest.raises(AnswerTooLarge, match="more than 10 objects"):
        budget.add_objects(1)
    with pytest.raises(AnswerTooLarge, match="more than 100 bytes"):
        budget.check_text(101)
    with pytest.raises(AnswerTooLarge, match=f"more than {LIMITS.stored_bytes:,} stored bytes"):
        budget.add_stored_bytes(1)


def test_bytes_alone_end_an_answer() -> None:
    with pytest.raises(AnswerTooLarge, match="more than 100 bytes"):
        AnswerBudget(LIMITS).add_bytes(101)


def test_what_is_taken_back_or_forgotten_counts_no_longer() -> None:
    budget = AnswerBudget(LIMITS)
    budget.add_objects(10)
    budget.add_bytes(100)
    budget.add_stored_bytes(LIMITS.stored_bytes)

    budget.subtract(4, 30)
    budget.add_objects(4)
    budget.add_bytes(30)
    assert (budget.objects, budget.bytes_left) == (10, 0)

    budget.reset()
    budget.add_objects(10)
    budget.add_bytes(100)
    budget.add_stored_bytes(LIMITS.stored_bytes)


def test_the_number_of_objects_is_told_as_it_grows() -> None:
    told: list[int] = []
    budget = AnswerBudget(LIMITS)
    budget.on_spend = told.append

    budget.add_objects(3)
    budget.add_objects(4)

    assert told == [3, 7]
