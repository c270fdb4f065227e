"""The command where uvloop is not installed: `python -m tests.graph.server.without_uvloop serve`."""

import sys

from graph.commands import main as commands


def main() -> None:
    """Do as `provenance-graph` does."""
    sys.modules["uvloop"] = None  # type: ignore[assignment]
    commands.main()


if __name__ == "__main__":
    main()
