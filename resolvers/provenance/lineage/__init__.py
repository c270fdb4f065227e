"""Lineages: walks through the provenance graph, and the parts of it that they find."""
