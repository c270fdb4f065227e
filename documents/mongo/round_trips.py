"""How often the database is asked: in all by this process, and on behalf of one operation.

Counted are check-outs of connections, since each command of the driver has its own; `documents/mongo/pool.py` counts
those that it makes itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionCheckOutFailedEvent,
    ConnectionCheckOutStartedEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
    ConnectionReadyEvent,
    PoolClearedEvent,
    PoolClosedEvent,
    PoolCreatedEvent,
    PoolReadyEvent,
)


class RoundTripCounter(Protocol):
    """Anything that counts round trips."""

    round_trips: int


@dataclass(slots=True)
class ProcessRoundTrips:
    """The round trips of this process."""

    round_trips: int = 0


of_process = ProcessRoundTrips()
_of_operation: ContextVar[RoundTripCounter | None] = ContextVar("round_trips", default=None)


@contextmanager
def counting_round_trips(counter: RoundTripCounter) -> Iterator[None]:
    """Count the round trips that are made within the block, in tasks that it starts too."""
    token = _of_operation.set(counter)
    try:
        yield
    finally:
        _of_operation.reset(token)


def count_round_trip() -> None:
    """Count one more round trip."""
    of_process.round_trips += 1
    if (counter := _of_operation.get()) is not None:
        counter.round_trips += 1


class CheckOutListener(ConnectionPoolListener):
    """Counts the connections that the driver checks out, in the context of whoever asked for them."""

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None:
        """Count a round trip."""
        count_round_trip()

    def pool_created(self, event: PoolCreatedEvent) -> None:
        """Count nothing."""

    def pool_ready(self, event: PoolReadyEvent) -> None:
        """Count nothing."""

    def pool_cleared(self, event: PoolClearedEvent) -> None:
        """Count nothing."""

    def pool_closed(self, event: PoolClosedEvent) -> None:
        """Count nothing."""

    def connection_created(self, event: ConnectionCreatedEvent) -> None:
        """Count nothing."""

    def connection_ready(self, event: ConnectionReadyEvent) -> None:
        """Count nothing."""

    def connection_closed(self, event: ConnectionClosedEvent) -> None:
        """Count nothing."""

    def connection_check_out_started(self, event: ConnectionCheckOutStartedEvent) -> None:
        """Count nothing."""

    def connection_check_out_failed(self, event: ConnectionCheckOutFailedEvent) -> None:
        """Count nothing."""

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None:
        """Count nothing."""
