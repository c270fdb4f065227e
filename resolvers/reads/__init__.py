"""Reads: projected finds, pages, filters by related documents, and per-request loaders."""
