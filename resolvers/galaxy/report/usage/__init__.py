"""The usage in a report, counted while it is read."""
