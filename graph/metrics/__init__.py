"""Metrics for Prometheus: counted as plain numbers in each process, combined over all processes when they are read."""
