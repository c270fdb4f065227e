"""The version of the reader that made a row."""

PARSER_VERSION = "1"
"""Incremented with each change after which the same archive may give other rows, rejections or digests."""
