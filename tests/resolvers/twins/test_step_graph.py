"""Dependencies of steps: any list of steps is either ordered, or refused with every wrong key and a cycle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.twins.step_graph import MAX_CYCLES, StepLinks, cycles, resolve_dependencies, with_descendants
from resolvers.user_errors import Refusals


def steps(**waits_for: list[str] | None) -> list[StepLinks]:
    return [{"key": key, "depends_on": waited} for key, waited in waits_for.items()]


def refused(given: list[StepLinks]) -> list[tuple[tuple[str, ...], str]]:
    with pytest.raises(Refusals) as caught:
        resolve_dependencies(given, "steps")
    return [(one.path, one.message) for one in caught.value.refusals]


@st.composite
def graphs(draw: st.DrawFn, *, acyclic: bool = False) -> list[list[int]]:
    """For each step the steps it waits for, in any order of steps."""
    size = draw(st.integers(1, 12))
    order = draw(st.permutations(range(size)))
    rank = {step: place for place, step in enumerate(order)}
    some = st.lists(st.integers(0, size - 1), max_size=4, unique=True)
    drawn = [draw(some) for _ in range(size)]
    return [[other for other in row if not acyclic or rank[other] < rank[one]] for one, row in enumerate(drawn)]


def reaches(waits_for: list[list[int]]) -> list[set[int]]:
    """For each step all that it waits for, however far away: by taking one more hop until nothing is new."""
    found = [set(row) for row in waits_for]
    for _ in waits_for:
        found = [row | {far for near in row for far in found[near]} for row in found]
    return found


def test_without_any_depends_on_the_steps_are_a_chain_in_list_order() -> None:
    arranged = resolve_dependencies([{"key": "load"}, {}, {"key": None, "depends_on": None}], "steps")

    assert [(place.key, place.waits_for) for place in arranged] == [("load", []), ("1", [0]), ("2", [1])]


def test_a_single_depends_on_makes_a_graph_of_them_all() -> None:
    arranged = resolve_dependencies(steps(join=["left", " right ", "left"], left=None, right=[]), "steps")

    assert [(place.key, place.waits_for) for place in arranged] == [("join", [1, 2]), ("left", []), ("right", [])]


def test_every_key_that_is_wrong_is_told_at_once() -> None:
    given: list[StepLinks] = [
        {"key": "a", "depends_on": ["b", "nobody", "0"]},
        {"key": "b", "depends_on": ["b"]},
        {"key": "a"},
        {"key": "two\nlines"},
        {"key": "5", "depends_on": []},
        {"depends_on": ["a"]},
    ]

    assert refused(given) == [
        (("steps", "2", "key"), "Steps 0 and 2 both have the key a."),
        (("steps", "3", "key"), "key must be one line of 1 to 1000 characters, not 'two\\nlines'."),
        (("steps", "5", "key"), "Steps 4 and 5 both have the key 5."),
        (("steps", "0", "dependsOn", "1"), "No step has the key 'nobody'."),
        (("steps", "0", "dependsOn", "2"), "No step has the key '0'."),
        (("steps", "1", "dependsOn"), "Step b waits for itself."),
    ]


def test_a_key_that_is_no_name_of_a_folder_is_refused() -> None:
    assert resolve_dependencies([{"key": "k" * 255}, {"key": "é" * 127}], "steps")[0].key == "k" * 255

    with pytest.raises(Refusals) as told:
        resolve_dependencies([{"key": "k" * 256}, {"key": "é" * 128}], "steps")

    assert [one.path for one in told.value.refusals] == [("steps", "0", "key"), ("steps", "1", "key")]
    assert "has 256 bytes; the name of a folder has at most 255" in told.value.refusals[0].message


def test_separate_cycles_are_told_with_their_keys_in_the_order_of_waiting() -> None:
    given = steps(a=["b"], b=["c"], c=["a", "d"], d=[], x=["y"], y=["x"], after=["x", "a"])

    assert refused(given) == [
        (("steps", "0", "dependsOn"), "Steps wait for each other: a → b → c → a."),
        (("steps", "4", "dependsOn"), "Steps wait for each other: x → y → x."),
    ]


def test_of_very_many_cycles_only_some_are_told() -> None:
    assert len(refused(steps(**{f"k{n}": [f"k{n}"] for n in range(500)}))) == MAX_CYCLES


@given(graphs())
def test_what_is_called_a_cycle_is_one_and_without_any_there_is_none(waits_for: list[list[int]]) -> None:
    found = list(cycles(waits_for))

    for circle in found:
        assert circle[0] == min(circle)
        assert all(after in waits_for[one] for one, after in zip(circle, [*circle[1:], circle[0]], strict=True))
    assert bool(found) == any(one in reached for one, reached in enumerate(reaches(waits_for)))
    told = [one for circle in found for one in circle]
    assert len(told) == len(set(told))


@given(graphs(acyclic=True))
def test_a_graph_without_cycles_is_arranged_as_it_is_given(waits_for: list[list[int]]) -> None:
    given = steps(**{f"k{one}": [f"k{other}" for other in row] for one, row in enumerate(waits_for)})

    assert [place.waits_for for place in resolve_dependencies(given, "steps")] == waits_for


@given(graphs(), st.data())
def test_one_edge_back_is_enough_for_a_refusal(waits_for: list[list[int]], data: st.DataObject) -> None:
    size = len(waits_for)
    last = data.draw(st.integers(0, size - 1))
    chain = [[one - 1] if one else [last] for one in range(size)]

    assert list(cycles(chain)) == [[0, *range(last, 0, -1)]]


@given(graphs(acyclic=True), st.data())
def test_followers_are_those_that_wait_for_what_was_begun(waits_for: list[list[int]], data: st.DataObject) -> None:
    begun = set(data.draw(st.lists(st.integers(0, len(waits_for) - 1))))

    expected = begun | {one for one, reached in enumerate(reaches(waits_for)) if reached & begun}
    assert with_descendants(waits_for, begun) == expected


def test_a_thousand_steps_that_all_wait_for_all_earlier_ones_are_arranged() -> None:
    given = steps(**{f"k{n}": [f"k{m}" for m in range(n)] for n in range(1000)})

    assert [len(place.waits_for) for place in resolve_dependencies(given, "steps")] == list(range(1000))
