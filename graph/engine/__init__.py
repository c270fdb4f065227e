"""The execution of operations: limits, admission, validation, plans, executors."""
