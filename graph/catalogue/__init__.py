"""Organisations, resources, datasets and transforms in the GraphQL schema."""
