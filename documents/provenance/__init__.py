"""Provenance: which artifacts an activity used."""
