"""Dependencies between steps: keys, chains and cycles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import TypedDict

from resolvers.limits import MAX_STEP_KEY_BYTES
from resolvers.user_errors import InvalidInput, Refusal, Refusals, collect_refusals
from resolvers.validators import check_line

MAX_CYCLES = 20
"""Cycles reported at once; once these are fixed, the others are reported."""


class StepLinks(TypedDict, total=False):
    """A step's key, and the keys of the steps that it waits for, as a client gives them."""

    key: str | None
    depends_on: list[str] | None


@dataclass(frozen=True)
class StepNode:
    """A step's key, and the ordinals of the steps that it waits for."""

    key: str
    waits_for: list[int]


def resolve_dependencies(steps: Sequence[StepLinks], *path: str) -> list[StepNode]:
    """Each step with the steps that it waits for: as `dependsOn` says, or in a chain when no step has it.

    Raises Refusals with every key that is duplicate or unknown, and with cycles.
    """
    refusals: list[Refusal] = []
    keys = _keys(steps, refusals, *path)
    ordinals = {key: ordinal for ordinal, key in reversed(list(enumerate(keys)))}
    if all(step.get("depends_on") is None for step in steps):
        waits_for = [[ordinal - 1] if ordinal else [] for ordinal in range(len(steps))]
    else:
        waits_for = [_dependencies(step, ordinals, refusals, *path, str(number)) for number, step in enumerate(steps)]
    refusals += _cycle_refusals(keys, waits_for, *path)
    if refusals:
        raise Refusals(refusals)
    return [StepNode(key, dependencies) for key, dependencies in zip(keys, waits_for, strict=True)]


def cycles(waits_for: list[list[int]]) -> Iterator[list[int]]:
    """Cycles of steps that wait for each other, each from its lowest ordinal on; no step is in two of them."""
    graph = dict(enumerate(waits_for))
    while graph:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # Graphlib lists dependencies before dependents, and the first one again at the end.
            cycle: list[int] = error.args[1][:0:-1]
            start = cycle.index(min(cycle))
            yield cycle[start:] + cycle[:start]
            graph = {
                step: [dependency for dependency in dependencies if dependency not in cycle]
                for step, dependencies in graph.items()
                if step not in cycle
            }
        else:
            return


def with_descendants(waits_for: list[list[int]], steps: set[int]) -> set[int]:
    """These steps with all that depend on them, directly or not. `waits_for` has no cycle."""
    reached = set(steps)
    for step in TopologicalSorter(dict(enumerate(waits_for))).static_order():
        if not reached.isdisjoint(waits_for[step]):
            reached.add(step)
    return reached


def check_step_key(value: str | None, *path: str) -> str | None:
    """A step's key, which can be the name of a folder. Raises InvalidInput."""
    key = check_line(value, *path)
    if key is not None and len(key.encode()) > MAX_STEP_KEY_BYTES:
        length = f"key {key[:50]!r}… has {len(key.encode())} bytes"
        raise InvalidInput(f"{length}; the name of a folder has at most {MAX_STEP_KEY_BYTES}.", *path)
    return key


def _keys(steps: Sequence[StepLinks], refusals: list[Refusal], *path: str) -> list[str]:
    """Every step's key: its position where none is given."""
    keys: list[str] = []
    first: dict[str, int] = {}
    for number, step in enumerate(steps):
        key = str(number)
        with collect_refusals(refusals):
            key = check_step_key(step.get("key"), *path, str(number), "key") or key
            if first.setdefault(key, number) != number:
                message = f"Steps {first[key]} and {number} both have the key {key}."
                raise InvalidInput(message, *path, str(number), "key")
        keys.append(key)
    return keys


def _dependencies(step: StepLinks, ordinals: dict[str, int], refusals: list[Refusal], *path: str) -> list[int]:
    """The ordinals of the steps whose keys a step names, each once."""
    dependencies: dict[int, None] = {}
    for number, key in enumerate(step.get("depends_on") or []):
        ordinal = ordinals.get(key.strip())
        if ordinal is None:
            refusals.append(InvalidInput(f"No step has the key {key[:100]!r}.", *path, "dependsOn", str(number)))
        else:
            dependencies[ordinal] = None
    return list(dependencies)


def _cycle_refusals(keys: list[str], waits_for: list[list[int]], *path: str) -> Iterator[InvalidInput]:
    for cycle in islice(cycles(waits_for), MAX_CYCLES):
        if len(cycle) == 1:
            message = f"Step {keys[cycle[0]]} waits for itself."
        else:
            message = f"Steps wait for each other: {' → '.join(keys[step] for step in [*cycle, cycle[0]])}."
        yield InvalidInput(message, *path, str(cycle[0]), "dependsOn")
