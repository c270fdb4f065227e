"""Provenance in the GraphQL schema: what activities used, and data that lies elsewhere."""
