"""Users, digital twins, components, workflows, executions, steps, outputs and results."""
