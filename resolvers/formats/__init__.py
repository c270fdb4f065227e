"""Parsers for documents of other systems: text in, a typed value or a refusal out. No database and no network here."""
