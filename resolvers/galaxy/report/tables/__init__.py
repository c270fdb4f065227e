"""The lines of a report's members, parsed and joined into jobs."""
