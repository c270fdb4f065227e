"""Collected rejections, bounded in number but complete in their counts."""

from dataclasses import replace

from resolvers.galaxy.report.rejection import Rejection, RejectionCode

BATCH = 1000


class Rejections:
    """Collects rejections. Beyond the limit, one rejection for each member and code counts the further rows."""

    def __init__(self, listed: int) -> None:
        self._room = listed
        self._waiting: list[Rejection] = []
        self._rest: dict[tuple[str, RejectionCode], Rejection] = {}
        self.rows = 0

    def add(self, rejection: Rejection) -> None:
        """Add a rejection."""
        self.rows += rejection.rows
        # Rejections of the archive or of a whole member are always listed; there are few of them.
        if self._room > 0 or rejection.rows == 0:
            self._room -= 1
            self._waiting.append(rejection)
            return
        key = rejection.member, rejection.code
        first = self._rest.get(key, replace(rejection, rows=0, excerpt=None))
        self._rest[key] = replace(first, rows=first.rows + rejection.rows)

    @property
    def waiting(self) -> bool:
        """Whether there are rejections to be taken."""
        return bool(self._waiting)

    def taken(self) -> list[Rejection]:
        """Take the next rejections."""
        taken, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return taken

    def close(self) -> None:
        """Make the rejections that were only counted ready to be taken."""
        for first in self._rest.values():
            message = (
                f"{first.rows} more rows, beginning with this one, are rejected for the same reason: {first.message}"
            )
            self._waiting.append(replace(first, message=message))
        self._rest.clear()
