"""Rows of other systems as they were at the last import."""
