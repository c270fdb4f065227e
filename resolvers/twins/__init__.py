"""Users, digital twins, components, workflows and executions: the rules and the writes."""
