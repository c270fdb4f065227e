"""Sweeps: work that is done every few seconds while the server runs."""
