"""Sizes of the data: trees of users, twins, executions, steps and outputs, and a catalogue.

| scale | users | twins each | executions each | steps each | outputs each | objects |
|-------|-------|------------|-----------------|------------|--------------|---------|
| tiny  | 3     | 2          | 2               | 2          | 1            | 57      |
| small | 10    | 5          | 2               | 2          | 1            | 560     |
| 1×    | 20    | 5          | 4               | 5          | 1            | 4,520   |
| 10×   | 43    | 6          | 6               | 7          | 3            | 45,193  |
| 100×  | 85    | 13         | 8               | 10         | 4            | 452,030 |

Every factor grows from 1× on, and none is past a page of 100, so that `first: 100` shows everything.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tree:
    """So many users, each with so many twins, each with so many executions …"""

    users: int
    twins: int
    executions: int
    steps: int = 0
    outputs: int = 0

    @property
    def levels(self) -> tuple[int, int, int, int, int]:
        """The number of documents of each kind, users first."""
        twins = self.users * self.twins
        executions = twins * self.executions
        steps = executions * self.steps
        return self.users, twins, executions, steps, steps * self.outputs

    @property
    def objects(self) -> int:
        """All of them together."""
        return sum(self.levels)


@dataclass(frozen=True)
class Catalogue:
    """So many organisations, each with so many resources … Every version has a distribution, made by a transform."""

    organisations: int
    resources: int
    datasets: int
    versions: int

    @property
    def objects(self) -> int:
        """All documents together, one transform a resource among them."""
        resources = self.organisations * self.resources
        datasets = resources * self.datasets
        return self.organisations + 2 * resources + datasets + 2 * datasets * self.versions


@dataclass(frozen=True)
class Sizes:
    """The data that one run reads: two trees for the deep query, and lists for all others."""

    small: Tree
    large: Tree
    lists: Tree
    catalogue: Catalogue

    @property
    def databases(self) -> dict[str, tuple[Tree, Catalogue | None]]:
        """The data of each database, by its name; equal trees share one."""
        found: dict[str, tuple[Tree, Catalogue | None]] = {name_of(self.lists): (self.lists, self.catalogue)}
        for tree in (self.small, self.large):
            found.setdefault(name_of(tree), (tree, None))
        return found


def name_of(tree: Tree) -> str:
    """The database of a tree."""
    return f"bench_{tree.objects}"


ONE = Tree(20, 5, 4, 5, 1)
TEN = Tree(43, 6, 6, 7, 3)
HUNDRED = Tree(85, 13, 8, 10, 4)
TINY = Tree(3, 2, 2, 2, 1)
SMALL = Tree(10, 5, 2, 2, 1)

GROWTH = {"1×": ONE, "10×": TEN, "100×": HUNDRED}

# 100 users are the flat page, and 100 × 20 twins are the 2,000 parents that `first: 3` is asked under.
FULL = Sizes(small=ONE, large=TEN, lists=Tree(100, 20, 10), catalogue=Catalogue(20, 5, 4, 5))
SMALLEST = Sizes(small=TINY, large=TINY, lists=TINY, catalogue=Catalogue(2, 2, 2, 2))
