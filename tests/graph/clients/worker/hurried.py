"""The real server, but what failed or was handed back waits a moment only before it can be claimed again.

`python -m tests.graph.clients.worker.hurried` serves it as `provenance-graph serve` does.
"""

from datetime import timedelta

from graph.server.assemble import serve
from graph.settings import load_settings
from resolvers.activities import retry


def main() -> None:
    """Serve until told to stop."""
    # Workers of earlier tests count as others that might do better.
    retry.LAST_ATTEMPT_RESERVATION = timedelta(seconds=1)
    retry.FIRST_HAND_BACK_DELAY = timedelta(seconds=0.3)  # type: ignore[attr-defined]
    retry.RETRY_DELAYS = (timedelta(seconds=0.2), timedelta(seconds=0.5))
    serve(load_settings())


if __name__ == "__main__":
    main()
