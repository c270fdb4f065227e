"""Reasons why an activity does not succeed on this worker."""

INPUTS_NOT_FETCHED, COMMAND_NOT_STARTED = "INPUTS_NOT_FETCHED", "COMMAND_NOT_STARTED"
OUTPUTS_NOT_UPLOADED, COMMAND_LOST, LOG_NOT_SENT = "OUTPUTS_NOT_UPLOADED", "COMMAND_LOST", "LOG_NOT_SENT"

MAX_MESSAGE_LENGTH = 10_000
"""Characters that the server accepts."""


class ActivityError(Exception):
    """The activity cannot succeed: the reason, for programs and for people, and whether another attempt may succeed.

    `pause` says that other activities would probably fail on this worker too.
    """

    def __init__(self, code: str, message: str, *, retryable: bool, pause: bool = False) -> None:
        super().__init__(message)
        # Otherwise the server would refuse the report of the failure.
        text = message.replace("\0", "\N{REPLACEMENT CHARACTER}")[:MAX_MESSAGE_LENGTH]
        self.error = {"code": code, "message": text, "retryable": retryable}
        self.pause = pause


class WorkerError(Exception):
    """This worker cannot run the command, through no fault of the activity: another worker may run it."""

    def __init__(self, why: str) -> None:
        super().__init__(why if why.endswith(".") else f"{why}.")
