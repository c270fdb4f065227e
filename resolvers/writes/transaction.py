"""Transactions of mutations, retried when a concurrent write of the same object came first."""

from collections.abc import Awaitable, Callable
from typing import Any

from documents.mongo.transaction import Session, in_transaction

Outcome = dict[str, Any]
"""The objects that a mutation wrote, by the payload's field: a row, a list of rows, or a plain value."""
Work = Callable[[Session], Awaitable[Outcome]]


class RetryTransaction(Exception):
    """A concurrent write of the same object came first, so the work must read it again."""


async def run_in_transaction(work: Work) -> Outcome:
    """Run `work` in a transaction and return its outcome; retried when a concurrent write of the same object came
    first."""
    for _ in range(5):
        try:
            return await in_transaction(work)
        except RetryTransaction:
            continue
    return await in_transaction(work)
