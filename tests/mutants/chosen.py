"""Choosing mutants to try: all of what is named, or a random sample of all areas."""

from collections.abc import Iterable, Iterator
from itertools import cycle
from random import Random

from tests.mutants.areas import modules
from tests.mutants.mutant import Mutant, count_mutants, make_mutant
from tests.support.running import ROOT


def select_named(names: Iterable[str], random: Random) -> Iterator[Mutant]:
    """The mutants of each named module, or the one that `module#number` names, in random order.

    Raises ValueError for a name that there is not.
    """
    found = [mutant for name in names for mutant in _mutants_of(name)]
    random.shuffle(found)
    return (make_mutant(*mutant) for mutant in found)


def _mutants_of(name: str) -> list[tuple[str, int]]:
    module, _, number = name.partition("#")
    try:
        numbers = range(count_mutants(module))
        return [(module, each) for each in ([numbers[int(number)]] if number else numbers)]
    except (OSError, IndexError, ValueError) as error:
        raise ValueError(f"No mutant {name}: {error}") from error


def sample(areas: Iterable[str], random: Random) -> Iterator[Mutant]:
    """Mutants of these areas, of all where none is named, each once: from one area after the other, without an end.

    A module is drawn by its size, so that no mutant of an area is much likelier than another.
    """
    pools: dict[str, list[str]] = {}
    for area, module in modules(*areas):
        pools.setdefault(area, []).append(module)
    seen: set[tuple[str, int]] = set()
    for pool in cycle(pools.values()):
        drawn = _draw(pool, random)
        if drawn not in seen:
            seen.add(drawn)
            yield make_mutant(*drawn)


def _draw(pool: list[str], random: Random) -> tuple[str, int]:
    sizes = [(ROOT / module).stat().st_size for module in pool]
    (module,) = random.choices(pool, sizes)
    return module, random.randrange(count_mutants(module))
