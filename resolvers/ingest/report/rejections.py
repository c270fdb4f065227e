"""Rejections on their way out, bounded in number but complete in what they count."""

from dataclasses import replace

from resolvers.ingest.report.rejection import Rejection, RejectionCode

BATCH = 1000


class Rejections:
    """Collects rejections. Beyond so many, the rest is one rejection for each member and code, which counts rows."""

    def __init__(self, listed: int) -> None:
        self._room = listed
        self._waiting: list[Rejection] = []
        self._rest: dict[tuple[str, RejectionCode], Rejection] = {}
        self.rows = 0

    def add(self, rejection: Rejection) -> None:
        """Remember a rejection."""
        self.rows += rejection.rows
        # What is said of the archive or of a member as a whole is always listed; there are few of them.
        if self._room > 0 or rejection.rows == 0:
            self._room -= 1
            self._waiting.append(rejection)
            return
        key = rejection.member, rejection.code
        first = self._rest.get(key, replace(rejection, rows=0, excerpt=None))
        self._rest[key] = replace(first, rows=first.rows + rejection.rows)

    @property
    def waiting(self) -> bool:
        """Whether there is something to be taken."""
        return bool(self._waiting)

    def taken(self) -> list[Rejection]:
        """The next of them, which are not given again."""
        taken, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return taken

    def close(self) -> None:
        """Make what was only counted ready to be taken."""
        for first in self._rest.values():
            message = f"{first.rows} more rows from this line on are rejected like this one: {first.message}"
            self._waiting.append(replace(first, message=message))
        self._rest.clear()
