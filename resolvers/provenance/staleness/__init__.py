"""Staleness: whether artifacts are up to date with everything upstream of them, and what has moved on."""
