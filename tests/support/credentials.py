"""Support for the tests of authentication: a clock, an administrator's token, and reading a refusal."""

from datetime import UTC, datetime, timedelta

import pytest

from resolvers.access.authentication import Authenticator
from resolvers.access.viewer import Unauthenticated

ADMIN_TOKEN = "an administrator's own secret of 2026"
REFUSAL = "The token is invalid, has expired or was revoked."


class Clock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


async def refusal(authenticator: Authenticator, token: str) -> Unauthenticated:
    """The refusal of a bearer token; fails if the token is accepted."""
    with pytest.raises(Unauthenticated) as refused:
        await authenticator.viewer(f"Bearer {token}")
    return refused.value
