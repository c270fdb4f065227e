"""Messages of refusals name what was sent, and do not repeat all of it."""

import pytest

from resolvers.user_errors import NotFound


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("bob", "bob"), ("b" * 100, "b" * 100), ("b" * 101, "b" * 100 + "…"), ("b" * 9_999, "b" * 100 + "…")],
)
def test_a_message_repeats_the_beginning_of_a_long_value(sent: str, shown: str) -> None:
    refusal = NotFound("User", sent, "ownerName", key="displayName")

    assert refusal.message == f"No User with displayName {shown}."
