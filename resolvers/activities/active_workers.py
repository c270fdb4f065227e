"""Workers that this process has heard from lately.

A hint for preferring one worker to another: each process hears only from workers that call it, and forgets them when it
ends.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

ACTIVE_AFTER_CLAIM = timedelta(seconds=30)
"""How long a worker counts as active after it asked for an activity."""
MAX_WORKERS = 1_000
"""Workers remembered; the one that has been silent for longest is forgotten first."""


class Holder(NamedTuple):
    """A worker: the key of its credentials, and its name."""

    key: str
    worker: str


class ActiveWorkers:
    """Recently active workers, each with the kinds of activities that it takes and the time until which it counts as
    active."""

    def __init__(self) -> None:
        self._active: dict[Holder, tuple[datetime, frozenset[str]]] = {}

    def note(self, holder: Holder, kinds: Iterable[str], until: datetime) -> None:
        """Count the worker as active until then, at least."""
        earlier, known_kinds = self._active.pop(holder, (until, frozenset()))
        self._active[holder] = (max(earlier, until), known_kinds | frozenset(kinds))
        if len(self._active) > MAX_WORKERS:
            del self._active[next(iter(self._active))]

    def has_other(self, kind: str, holders: Collection[Holder], at: datetime) -> bool:
        """Whether a worker other than these takes such activities and is active."""
        return any(
            until > at and kind in kinds and holder not in holders for holder, (until, kinds) in self._active.items()
        )

    def forget(self) -> None:
        """Forget all workers."""
        self._active.clear()


active_workers = ActiveWorkers()
