"""Detecting that a task was cancelled, although the CancelledError itself was lost.

Loops that could go on for ever check for it: Python 3.11's wait_for, with which the driver connects and writes, drops a
cancellation that comes at the wrong moment, and an error while closing a connection replaces it.
"""

import asyncio


def is_cancelled() -> bool:
    """Whether this task was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def raise_if_cancelled() -> None:
    """Raise CancelledError in a task that was cancelled before."""
    if is_cancelled():
        raise asyncio.CancelledError
