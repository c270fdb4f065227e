"""Organisations, resources, datasets and their versions: writing and publishing them."""
