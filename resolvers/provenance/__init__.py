"""Provenance: which artifacts activities used, how documents are connected by that, and data that lies elsewhere."""
