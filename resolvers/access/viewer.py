"""The viewer: the identity on whose behalf every policy and every write works."""

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """The role of a viewer: the operations that it may perform. Policies decide on which objects."""

    ANONYMOUS = "ANONYMOUS"
    USER = "USER"
    WORKER = "WORKER"
    ADMIN = "ADMIN"


class TokenRole(StrEnum):
    """The role that an API token gives its bearer."""

    USER = Role.USER
    WORKER = Role.WORKER
    ADMIN = Role.ADMIN


@dataclass(frozen=True, slots=True)
class Viewer:
    """The caller of a request, with the id of its user, if any, and of its API token.

    `bound_to` is the organisation or resource that a WORKER's token is bound to, None where it is bound to none.
    `reported` are the ids of a step and its execution that the viewer has just reported as ended, and ran until then.
    """

    role: Role
    user_id: str | None = None
    token_id: str | None = field(default=None, compare=False)
    reported: tuple[str, ...] = ()
    bound_to: str | None = None

    @property
    def key(self) -> str:
        """The key that identifies this viewer among those who run things: its token, else its user, else its role."""
        return self.token_id or self.user_id or self.role.value


ANONYMOUS = Viewer(Role.ANONYMOUS)
ADMIN = Viewer(Role.ADMIN)
"""The holder of the administrator's token, which belongs to no user."""


class Unauthenticated(Exception):
    """Credentials were sent and cannot be accepted; the message may be shown to the sender.

    `temporary` is true when the same credentials may be accepted in a minute: their issuer did not answer.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary


def invalid_token_error() -> Unauthenticated:
    """The error for any invalid token; it does not tell which check failed."""
    return Unauthenticated("The token is invalid, has expired or was revoked.")
