"""Sending the reports in a folder: a client of `POST /api/whoami` and `POST /api/v2/upload`, which knows no more."""

URL, INSTANCE, KEY = "PROVENANCE_URL", "PROVENANCE_INSTANCE", "PROVENANCE_INSTANCE_KEY"
