"""Who is asking: what every policy and every write is given."""

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a viewer may do at most; which things they may do it to is for the policies."""

    ANONYMOUS = "ANONYMOUS"
    USER = "USER"
    WORKER = "WORKER"
    ADMIN = "ADMIN"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody asking, with the id of their user when they are one, and of the API token they came with.

    `reported` are the ids of what they have just said is done: a step and its execution, which they ran until then.
    """

    role: Role
    user_id: str | None = None
    token_id: str | None = field(default=None, compare=False)
    reported: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells this viewer from others who run things: their token, else their user, else only their role."""
        return self.token_id or self.user_id or self.role.value


ANONYMOUS = Viewer(Role.ANONYMOUS)
ADMIN = Viewer(Role.ADMIN)
"""Whoever has the administrator's token, which is no user's."""


class Unauthenticated(Exception):
    """Credentials were sent and cannot be accepted; the message may be shown to whoever sent them.

    `temporary` is true when the same credentials may be accepted in a minute: their issuer did not answer.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary
