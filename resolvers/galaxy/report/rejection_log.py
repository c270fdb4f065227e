"""A log of rejections, bounded in number but complete in its counts."""

from dataclasses import replace

from resolvers.galaxy.report.rejection import Rejection, RejectionCode

BATCH_SIZE = 1000


class RejectionLog:
    """Collects rejections. Beyond the limit, one rejection for each member and code counts the further rows."""

    def __init__(self, listed: int) -> None:
        self._room = listed
        self._pending: list[Rejection] = []
        self._rest: dict[tuple[str, RejectionCode], Rejection] = {}
        self.rows = 0

    def add(self, rejection: Rejection) -> None:
        """Add a rejection."""
        self.rows += rejection.rows
        # Rejections of the archive or of a whole member are always listed; there are few of them.
        if self._room > 0 or rejection.rows == 0:
            self._room -= 1
            self._pending.append(rejection)
            return
        key = rejection.member, rejection.code
        first = self._rest.get(key, replace(rejection, rows=0, excerpt=None))
        self._rest[key] = replace(first, rows=first.rows + rejection.rows)

    @property
    def has_pending(self) -> bool:
        """Whether there are rejections to take."""
        return bool(self._pending)

    def take(self) -> list[Rejection]:
        """Remove the next rejections from the log, and return them."""
        batch, self._pending = self._pending[:BATCH_SIZE], self._pending[BATCH_SIZE:]
        return batch

    def close(self) -> None:
        """Append the rejections that were only counted."""
        for first in self._rest.values():
            message = (
                f"{first.rows} more rows, beginning with this one, are rejected for the same reason: {first.message}"
            )
            self._pending.append(replace(first, message=message))
        self._rest.clear()
