"""Knowing that a task was cancelled, although the cancellation itself was lost.

Asked where a task could go on for ever: Python 3.11's wait_for, which the driver connects and writes by, drops a
cancellation that comes at the wrong moment, and a failure to close replaces it.
"""

import asyncio


def cancelled() -> bool:
    """Whether this task was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def check_cancelled() -> None:
    """Raise CancelledError in a task that was cancelled before."""
    if cancelled():
        raise asyncio.CancelledError
