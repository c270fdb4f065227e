"""API tokens and idempotency keys as they are stored."""
