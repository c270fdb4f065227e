"""Capacity of one process: memory for answers and slots for operations, from the settings or from the machine."""

from graph.engine.available_resources import cores, memory_limit
from graph.settings import Settings

MEMORY_FRACTION = 4
"""A quarter of the memory is for answers. The server itself takes 100 to 200 MB, and the allocator keeps some more."""
MEGABYTE = 1_000_000
MIN_MEMORY, MAX_MEMORY = 32 * MEGABYTE, 1_000 * MEGABYTE
BYTES_PER_SOCKET = 60_000
"""Memory for a WebSocket with one or two subscriptions, which bounds their number; answers have memory of their own."""
MEMORY_PER_CHARACTER = 1_500
"""Memory for answers per remembered character of documents, which takes a third of that."""
MIN_SLOTS, MAX_SLOTS = 4, 16


def answer_memory(settings: Settings, processes: int) -> int:
    """Bytes that the answers of one process may take, while they are made and until they are read."""
    if settings.answer_memory is not None:
        return settings.answer_memory * MEGABYTE
    return max(MIN_MEMORY, min(MAX_MEMORY, memory_limit() // MEMORY_FRACTION // processes))


def operation_slots(settings: Settings, processes: int) -> int:
    """Operations of many objects that one process may run at the same time."""
    if settings.concurrency is not None:
        return settings.concurrency
    return max(MIN_SLOTS, min(MAX_SLOTS, 2 * cores() // processes))
