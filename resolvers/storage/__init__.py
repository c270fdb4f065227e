"""Uploads and signed URLs."""
