"""API tokens in the GraphQL schema."""
