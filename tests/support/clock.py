"""A clock that tests move on."""

from datetime import UTC, datetime, timedelta, tzinfo


class Clock:
    """Shows the real time, later by as much as it was moved; once stopped it only moves when it is told to."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._stopped_at: datetime | None = None
        clock = self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                at = clock._stopped_at
                return (datetime.now(tz) if at is None else at.astimezone(tz)) + clock.ahead

        self.datetime = Moved

    def stop(self) -> None:
        """Let no time pass by itself: how long this machine takes is nothing that the test depends on."""
        self._stopped_at = datetime.now(UTC)

    def forward(self, seconds: float) -> None:
        """Let so much time pass."""
        self.ahead += timedelta(seconds=seconds)
