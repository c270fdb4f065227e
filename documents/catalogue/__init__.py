"""Organisations, resources, datasets, their versions and distributions, and transforms."""
