"""The name and kind of an operation, by which metrics and logs tell it from others."""

from typing import NamedTuple


class OperationIdentity(NamedTuple):
    """The name of an operation, empty for an anonymous one, and its kind: query, mutation or subscription."""

    name: str
    kind: str
