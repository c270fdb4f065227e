"""Provenance: which artifacts activities used, and data that lies elsewhere."""
