"""What a write may refuse, as data: raised where it is found, turned into `userErrors` in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar


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
    """A value that cannot be taken."""

    code = "VALIDATION"


class NotFound(Refusal):
    """Nothing with this id exists that the viewer may see."""

    code = "NOT_FOUND"

    def __init__(self, noun: str, key: str, *path: str) -> None:
        super().__init__(f"No {noun} with id {key}.", *path)


class Forbidden(Refusal):
    """The viewer may see the thing, but not do this to it."""

    code = "FORBIDDEN"


class AlreadyExists(Refusal):
    """Another thing holds a key that must be unique."""

    code = "ALREADY_EXISTS"


class RevisionConflict(Refusal):
    """The thing has moved on since the client read it."""

    code = "REVISION_CONFLICT"

    def __init__(self, noun: str, expected: int, current: dict[str, Any]) -> None:
        super().__init__(
            f"{noun} {current['_id']} is at revision {current['revision']}, not {expected}.", "expectedRevision"
        )
        self.expected_revision = expected
        self.current_revision: int = current["revision"]
        self.current = current


class InvalidState(Refusal):
    """The thing is in a state from which this move does not lead on."""

    code = "INVALID_STATE"

    def __init__(self, message: str, *path: str, current: str, allowed: list[str]) -> None:
        super().__init__(message, *path)
        self.current_state = current
        self.allowed_states = allowed


class IdempotencyMismatch(Refusal):
    """The key was used before, with another input."""

    code = "IDEMPOTENCY_MISMATCH"


class InProgress(Refusal):
    """The first call with this key has not ended yet."""

    code = "IN_PROGRESS"


class ChecksumMismatch(Refusal):
    """Bytes are not those that were announced."""

    code = "CHECKSUM_MISMATCH"


class LimitExceeded(Refusal):
    """More than the server takes in one go."""

    code = "LIMIT_EXCEEDED"


class Refusals(Exception):
    """Everything that is wrong with one request."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__("; ".join(one.message for one in refusals))
        self.refusals = refusals


@contextmanager
def noting(refusals: list[Refusal]) -> Iterator[None]:
    """Add what the block refuses to `refusals` and go on, to tell everything that is wrong at once."""
    try:
        yield
    except Refusal as refusal:
        refusals.append(refusal)
    except Refusals as several:
        refusals += several.refusals
