"""User errors of writes: raised where they are found, and turned into `userErrors` in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

MAX_SHOWN_LENGTH = 100
"""Characters of a value that a message repeats."""


class Refusal(Exception):
    """A request that cannot be granted, for a reason the client is told.

    `path` leads to the offending value from the mutation's input: `("steps", "2", "parameters")`.
    """

    code: ClassVar[str] = "VALIDATION"

    def __init__(self, message: str, *path: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.error_code = code or self.code


class InvalidInput(Refusal):
    """An invalid value."""

    code = "VALIDATION"


class NotFound(Refusal):
    """The viewer may see no object with this id."""

    code = "NOT_FOUND"

    def __init__(self, noun: str, value: str, *path: str, key: str = "id") -> None:
        shown = value if len(value) <= MAX_SHOWN_LENGTH else f"{value[:MAX_SHOWN_LENGTH]}…"
        super().__init__(f"No {noun} with {key} {shown}.", *path)


class Forbidden(Refusal):
    """The viewer may see the object, but not change it in this way."""

    code = "FORBIDDEN"


class AlreadyExists(Refusal):
    """Another object has a key that must be unique."""

    code = "ALREADY_EXISTS"


class RevisionConflict(Refusal):
    """The object has been changed since the client read it."""

    code = "REVISION_CONFLICT"

    def __init__(self, noun: str, expected: int, current: dict[str, Any]) -> None:
        super().__init__(
            f"{noun} {current['_id']} is at revision {current['revision']}, not {expected}.", "expectedRevision"
        )
        self.expected_revision = expected
        self.current_revision: int = current["revision"]
        self.current = current


class InvalidState(Refusal):
    """The status of the object does not allow this change."""

    code = "INVALID_STATE"

    def __init__(self, message: str, *path: str, current: str, allowed: list[str]) -> None:
        super().__init__(message, *path)
        self.current_state = current
        self.allowed_states = allowed


class IdempotencyMismatch(Refusal):
    """The key was used before, with another input."""

    code = "IDEMPOTENCY_MISMATCH"


class InProgress(Refusal):
    """An earlier call still does the same work."""

    code = "IN_PROGRESS"


class ChecksumMismatch(Refusal):
    """The bytes differ from those announced."""

    code = "CHECKSUM_MISMATCH"


class LimitExceeded(Refusal):
    """More than the server accepts."""

    code = "LIMIT_EXCEEDED"


class Refusals(Exception):
    """All refusals of one request."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__("; ".join(refusal.message for refusal in refusals))
        self.refusals = refusals


@contextmanager
def collect_refusals(refusals: list[Refusal]) -> Iterator[None]:
    """Add refusals of the block to `refusals` and go on, so that a client is told of all of them at once."""
    try:
        yield
    except Refusal as refusal:
        refusals.append(refusal)
    except Refusals as error:
        refusals += error.refusals
