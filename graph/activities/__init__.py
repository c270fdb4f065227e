"""Activities and their logs in the GraphQL schema."""
