"""The selection of an answer below a field whose function finds objects of any kind."""

from collections.abc import Callable
from dataclasses import dataclass

from resolvers.reads.relations import Document
from resolvers.reads.rows import Fields


def is_never_raw(document: Document) -> bool:
    """Whether rows of a kind are read as raw BSON, for answers that need dictionaries: never."""
    return False


def count_nothing(objects: int) -> None:
    """Count objects for answers without a limit."""


@dataclass(frozen=True)
class NodeSelection:
    """The part of an answer that shows objects which a function finds; called with a kind, it gives the fields to read.

    `raw_bson` says whether rows of a kind are to be read as raw BSON. `names` are those of all fields selected between
    the function's own field and the objects, so that costly parts which nobody selects are left out. `expect_objects`
    is told how many objects are going to be shown, while more of them are sought; it raises AnswerTooLarge.
    """

    fields_of: Callable[[Document], Fields]
    raw_bson: Callable[[Document], bool] = is_never_raw
    names: frozenset[str] = frozenset()
    expect_objects: Callable[[int], object] = count_nothing

    def __call__(self, document: Document) -> Fields:
        return self.fields_of(document)
