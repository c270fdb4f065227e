"""Causes of staleness: how nodes of a lineage have moved on since something was made with them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class StalenessCauseKind(StrEnum):
    """The ways in which a node of a lineage moves on."""

    NEWER_CODE = "NEWER_CODE"
    NEWER_DATA = "NEWER_DATA"
    NEWER_READER = "NEWER_READER"
    DELETED = "DELETED"
    WITHDRAWN = "WITHDRAWN"


class Cause(NamedTuple):
    """A way in which a node has moved on: what was used of it, and what there is now, where these have a name.

    It is the node at which the cause is, or the one that this node used, given by its id.
    """

    kind: StalenessCauseKind
    used: str | None = None
    latest: str | None = None
    node_id: str | None = None


@dataclass
class Causes:
    """The causes at some nodes by their ids, and the ids of nodes of which nobody can tell whether they moved on."""

    by_id: dict[str, list[Cause]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    def add(self, id: str, causes: Iterable[Cause]) -> None:
        """Add causes at a node, each once."""
        self.by_id[id] = list(dict.fromkeys([*self.by_id.get(id, ()), *causes]))

    def update(self, others: "Causes") -> None:
        """Add further causes."""
        for id, causes in others.by_id.items():
            self.add(id, causes)
        self.unknown.update(others.unknown)
