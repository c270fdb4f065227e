"""Writes: transactions, idempotency keys, and duplicates under unique indexes."""
