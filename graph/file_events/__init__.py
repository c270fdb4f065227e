"""Reports of new and changed files in the GraphQL schema."""
