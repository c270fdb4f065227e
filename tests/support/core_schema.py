"""The schema as clients have it: read from its text, which takes a second, once for all tests."""

from graphql import build_schema

from graph.schema import as_text

schema = build_schema(as_text())
