"""Locks by key, cooperative scheduling on the event loop, the cancellation of tasks, and garbage collection."""
