"""Workers that this process has heard from lately.

A hint for preferring one worker to another: each process hears only from workers that call it, and forgets them when it
ends.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

HEARD_FOR = timedelta(seconds=30)
"""How long a worker that asked to claim something counts as active."""
MAX_WORKERS = 1_000
"""Workers remembered; the one that was silent longest is forgotten first."""


class Holder(NamedTuple):
    """A worker: the key of its credentials, and its name."""

    key: str
    worker: str


class ActiveWorkers:
    """Recently active workers, each with the kinds of activities that it takes and the time until which it counts as
    active."""

    def __init__(self) -> None:
        self._heard: dict[Holder, tuple[datetime, frozenset[str]]] = {}

    def note(self, holder: Holder, kinds: Iterable[str], until: datetime) -> None:
        """Count the worker as active until then, at least."""
        earlier, known = self._heard.pop(holder, (until, frozenset()))
        self._heard[holder] = (max(earlier, until), known | frozenset(kinds))
        if len(self._heard) > MAX_WORKERS:
            del self._heard[next(iter(self._heard))]

    def has_other(self, kind: str, than: Collection[Holder], at: datetime) -> bool:
        """Whether a worker other than these takes such activities and is active."""
        return any(
            until > at and kind in kinds and holder not in than for holder, (until, kinds) in self._heard.items()
        )

    def forget(self) -> None:
        """Forget all workers."""
        self._heard.clear()


active_workers = ActiveWorkers()
