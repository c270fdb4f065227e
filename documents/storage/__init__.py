"""Buckets, export destinations, uploads, and the URLs of files."""
