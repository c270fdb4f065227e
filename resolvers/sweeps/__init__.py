"""Sweeps: cleaning up every few seconds while the server runs, one module for each kind of rows."""
