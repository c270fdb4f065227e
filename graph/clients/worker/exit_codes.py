"""Exit codes of a command: success, failure, or a reason outside the command."""

import os
import signal

TRY_AGAIN = os.EX_TEMPFAIL
NOT_RUN = {
    125: "docker or podman could not run the container",
    126: "a program could not be executed",
    127: "a program was not found",
}
"""Exit codes of shells and container programs for a command that did not run, as it may on another machine."""
EXTERNAL_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM)
"""Signals from outside: a machine that shuts down or has no memory left. Others are the command's own fault."""
EXIT_CODES = {
    "0": "`SUCCEEDED`",
    "75, or what `--retry-on` says": "`FAILED`, and `retryable`",
    "125": f"the same: {NOT_RUN[125]}; and the worker pauses",
    "126": f"the same: {NOT_RUN[126]}; and the worker pauses",
    "127": f"the same: {NOT_RUN[127]}; and the worker pauses",
    "129, 130, 131, 137, 143": "`FAILED`, and `retryable`: killed by SIGHUP, SIGINT, SIGQUIT, SIGKILL or SIGTERM",
    "others": "`FAILED` for good",
}
"""Exit codes and their consequences."""
SIGNAL_OFFSET = 128
"""Shells and container programs add this to the number of the signal that ended a program."""


def signal_of(code: int) -> signal.Signals | None:
    """The signal from outside that ended the command, by its exit code: negative when it hit the shell itself."""
    number = -code if code < 0 else code - SIGNAL_OFFSET
    return next((external for external in EXTERNAL_SIGNALS if external == number), None)


def is_retryable(code: int, retry_on: tuple[int, ...]) -> bool:
    """Whether another attempt may succeed."""
    return code in retry_on or code in NOT_RUN or signal_of(code) is not None


def name_of(code: int) -> str:
    """The error's code for programs."""
    return f"SIGNAL_{-code}" if code < 0 else f"EXIT_CODE_{code}"


def explain(code: int) -> str:
    """A sentence about how the command ended."""
    if code < 0:
        return f"The command was killed by {_signal_name(-code)}."
    if code in NOT_RUN:
        return f"The command ended with exit code {code}: {NOT_RUN[code]}."
    if ended := signal_of(code):
        return f"The command ended with exit code {code}: {ended.name} killed a program."
    return f"The command ended with exit code {code}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
