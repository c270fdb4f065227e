"""Sending the reports in a folder, as a client of `POST /api/whoami` and `POST /api/v2/upload` only."""

URL, INSTANCE, KEY = "PROVENANCE_URL", "PROVENANCE_INSTANCE", "PROVENANCE_INSTANCE_KEY"
