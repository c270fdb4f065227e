"""The reference of a worker: what its command finds, and what follows from its exit code."""

from graph.clients.worker.environment import ENVIRONMENT_VARIABLES
from graph.clients.worker.exit_codes import EXIT_CODES
from tests.docs.tables import table


def variables() -> str:
    """The variables that a worker sets."""
    return table(
        ("variable", "what it is"), ((f"`{name}`", meaning) for name, meaning in ENVIRONMENT_VARIABLES.items())
    )


def exit_codes() -> str:
    """The table of exit codes of commands, and their consequences."""
    return table(("exit code", "what follows"), EXIT_CODES.items())
