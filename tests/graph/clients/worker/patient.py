"""The worker, but with time to stop on a machine that is slow, and quick to tell of trouble.

`python -m tests.graph.clients.worker.patient` works as `provenance-graph work` does. It extends leases after the share
of their time that RENEWAL_FRACTION says.
"""

import os
import ssl
from typing import Any

import httpx2
import typer

from graph.clients.worker import lease_renewal, retry, stop
from graph.commands.work import work
from tests.support.patience import within

CERTIFICATES = httpx2.create_ssl_context()
"""Loaded once for all forks: that takes longer than most of what a worker does in a test."""


def _certificates(*_: Any, **__: Any) -> ssl.SSLContext:
    return CERTIFICATES


def main() -> None:
    """Work until told to stop."""
    httpx2.create_ssl_context = _certificates
    # Before the module that works is loaded, which takes them from here.
    stop.STOP_TIMEOUT, stop.FINISH_TIMEOUT, stop.RELEASE_TIMEOUT = within(180), within(), within()
    lease_renewal.RENEWAL_FRACTION = float(os.environ.get("RENEWAL_FRACTION", lease_renewal.RENEWAL_FRACTION))
    retry.NOTE_AFTER = 0.1
    typer.run(work)


if __name__ == "__main__":
    main()
