"""A clock that tests move on."""

from datetime import datetime, timedelta, tzinfo


class Clock:
    """Shows the real time, later by as much as it was moved."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        clock = self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + clock.ahead

        self.datetime = Moved

    def forward(self, seconds: float) -> None:
        """Let so much time pass."""
        self.ahead += timedelta(seconds=seconds)
