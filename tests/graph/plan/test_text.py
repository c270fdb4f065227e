"""Big answers are written in turns and in parts, and read as if they had been written at once."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.plan import text

LEAVES = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text() | st.floats(allow_nan=False)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    """Parts of a few bytes."""
    before = text.PART
    text.PART = 20
    yield
    text.PART = before


@given(TREES)
async def test_parts_are_the_whole(tree: Any) -> None:
    whole = text.dumps(tree)

    assert b"".join(await text.in_parts(copy.deepcopy(tree))) == whole


@given(st.lists(TREES, min_size=1))
async def test_what_stands_in_a_list_several_times_is_written_each_time(members: list[Any]) -> None:
    tree = {"data": {"nodes": [*members, {"list": members}, *members, {"list": members}]}}
    whole = text.dumps(tree)

    assert b"".join(await text.in_parts(tree)) == whole


@given(st.lists(TREES))
async def test_values_as_text_stand_where_they_stood(values: list[Any]) -> None:
    whole = text.dumps(values)

    await text.as_text(values)

    assert all(type(value) is bytes for value in values)
    assert text.dumps(values) == whole
    assert b"".join(await text.in_parts({"data": values})) == b'{"data":%b}' % whole


async def test_no_part_is_much_larger_than_it_may_be() -> None:
    parts = await text.in_parts({"data": {"users": {"nodes": [{"id": number} for number in range(100)]}}})

    assert (len(parts) > 20, max(map(len, parts)) < 60) == (True, True)


def test_what_no_scalar_has_written_is_refused() -> None:
    with pytest.raises(TypeError):
        text.dumps({"at": object()})
