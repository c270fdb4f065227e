"""Which reader made a row."""

PARSER_VERSION = "1"
"""Raised with each change after which the same archive may give other rows, rejections or digests."""
