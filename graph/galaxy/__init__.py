"""Galaxy instances, their archives, ingestions, jobs and tool usage in the GraphQL schema."""
