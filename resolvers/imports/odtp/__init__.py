"""Repeatable imports of an ODTP database."""
