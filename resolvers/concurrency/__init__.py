"""Locks by key, cooperative scheduling on the event loop, and the cancellation of tasks."""
