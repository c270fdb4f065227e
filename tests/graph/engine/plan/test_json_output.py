"""Big answers are written in turns and in parts, and read as if they had been written at once."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.engine.plan import json_output
from resolvers.reads.answer_budget import AnswerBudget, AnswerLimits, AnswerTooLarge

LEAVES = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text() | st.floats(allow_nan=False)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    """Parts of a few bytes."""
    before = json_output.CHUNK_BYTES
    json_output.CHUNK_BYTES = 20
    yield
    json_output.CHUNK_BYTES = before


@given(TREES)
async def test_parts_are_the_whole(tree: Any) -> None:
    whole = json_output.dumps(tree)

    assert b"".join(await json_output.dump_in_chunks(copy.deepcopy(tree))) == whole


@given(st.lists(TREES, min_size=1))
async def test_what_stands_in_a_list_several_times_is_written_each_time(members: list[Any]) -> None:
    tree = {"data": {"nodes": [*members, {"list": members}, *members, {"list": members}]}}
    whole = json_output.dumps(tree)

    assert b"".join(await json_output.dump_in_chunks(tree)) == whole


@given(st.lists(TREES))
async def test_rows_as_text_stand_where_they_stood(rows: list[Any]) -> None:
    whole = json_output.dumps(rows)

    texts, _ = json_output.dump_rows(rows, [], None, AnswerBudget(AnswerLimits()))

    assert all(type(one) is bytes for one in texts)
    assert json_output.dumps(texts) == whole == json_output.dump_list(texts)
    assert b"".join(await json_output.dump_in_chunks({"data": texts})) == b'{"data":%b}' % whole


def test_rows_count_as_often_as_they_occur_without_what_columns_brought() -> None:
    budget = AnswerBudget(AnswerLimits())
    column = [b'{"id":"a"}', b'{"id":"b"}']

    texts, size = json_output.dump_rows([{"of": one} for one in column], [column], [3, 1], budget)

    assert texts == [b'{"of":{"id":"a"}}', b'{"of":{"id":"b"}}']
    assert (size, budget.bytes) == (4 * len('{"of":{"id":"a"}}'), 4 * len('{"of":}'))


def test_rows_are_written_no_further_than_there_is_room() -> None:
    budget = AnswerBudget(AnswerLimits(bytes=1_000))
    written = []

    def rows() -> Iterator[dict[str, str]]:
        for number in range(100):
            written.append(number)
            yield {"text": "x" * 400}

    with pytest.raises(AnswerTooLarge, match="more than 1,000 bytes"):
        json_output.dump_rows(rows(), [], None, budget)  # type: ignore[arg-type]

    assert len(written) == 3


async def test_no_part_is_much_larger_than_it_may_be() -> None:
    parts = await json_output.dump_in_chunks({"data": {"users": {"nodes": [{"id": number} for number in range(100)]}}})

    assert (len(parts) > 20, max(map(len, parts)) < 60) == (True, True)


def test_what_no_scalar_has_written_is_refused() -> None:
    with pytest.raises(TypeError):
        json_output.dumps({"at": object()})
