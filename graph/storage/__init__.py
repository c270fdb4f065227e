"""Uploads in the GraphQL schema."""
