"""Printing the lineage of an object, as a client of GraphQL only."""
