"""Mutants: copies of a module with one small change that a test should notice."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.support.running import ROOT

if TYPE_CHECKING:
    # It takes 0.6 s to load, and every process that shares the tests loads this module.
    from libcst import Module
    from mutmut.mutation.file_mutation import Mutation


@dataclass(frozen=True)
class Mutant:
    """One change of the module at a path below the root. `number` counts the mutants of the module, from 0."""

    module: str
    number: int
    original: str
    source: str

    @property
    def name(self) -> str:
        """Names it for the command as long as its module stays as it is."""
        return f"{self.module}#{self.number}"

    @property
    def line(self) -> int:
        """The first line that it changes, counted from 1."""
        before, after = self.original.splitlines(), self.source.splitlines()
        pairs = enumerate(zip(before, after, strict=False), 1)
        return next((number for number, (old, new) in pairs if old != new), min(len(before), len(after)) + 1)

    @property
    def diff(self) -> str:
        """Its change as a unified diff."""
        before, after = self.original.splitlines(), self.source.splitlines()
        return "\n".join(unified_diff(before, after, self.module, self.module, n=1, lineterm=""))


def count_mutants(module: str) -> int:
    """The number of mutants of a module. Raises FileNotFoundError for a module that there is not."""
    return len(_mutations(module)[2])


def make_mutant(module: str, number: int) -> Mutant:
    """A mutant of a module, by its number. Raises IndexError beyond `count_mutants`."""
    from libcst import Module

    original, tree, mutations = _mutations(module)
    mutation = mutations[number]
    changed = tree.deep_replace(mutation.original_node, mutation.mutated_node)
    assert isinstance(changed, Module)
    return Mutant(module, number, original, changed.code)


@lru_cache(maxsize=32)
def _mutations(module: str) -> "tuple[str, Module, Sequence[Mutation]]":
    from mutmut.mutation.file_mutation import create_mutations

    # mutmut itself tries only those in functions; we try those of tables and constants of a module as well.
    original = (ROOT / module).read_text()
    tree, mutations, *_ = create_mutations(module, original)
    return original, tree, mutations
