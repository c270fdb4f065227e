"""Users, digital twins, components, workflows and executions in the GraphQL schema."""
