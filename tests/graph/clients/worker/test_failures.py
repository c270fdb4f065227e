"""Failures as a worker reports them: in a message that the server takes, whatever the message says."""

from graph.clients.worker.failures import MAX_MESSAGE_LENGTH, OUTPUTS_NOT_UPLOADED, ActivityError, WorkerError
from resolvers.activities.lifecycle import MAX_ERROR_MESSAGE_LENGTH


def test_a_message_is_cut_to_the_longest_that_the_server_takes() -> None:
    message = "m" * MAX_ERROR_MESSAGE_LENGTH

    kept = ActivityError("EXIT_1", message, retryable=False)
    cut = ActivityError("EXIT_1", f"{message}.", retryable=False)

    assert MAX_MESSAGE_LENGTH == MAX_ERROR_MESSAGE_LENGTH
    assert kept.error["message"] == cut.error["message"] == message


def test_a_failure_says_why_and_whether_trying_again_may_help() -> None:
    failed = ActivityError(OUTPUTS_NOT_UPLOADED, "No \0 room.", retryable=True, pause=True)
    for_good = ActivityError("EXIT_1", "No.", retryable=False)

    assert failed.error == {
        "code": "OUTPUTS_NOT_UPLOADED",
        "message": "No \N{REPLACEMENT CHARACTER} room.",
        "retryable": True,
    }
    assert (str(failed), failed.pause) == ("No \0 room.", True)
    assert for_good.error == {"code": "EXIT_1", "message": "No.", "retryable": False}
    assert not for_good.pause


def test_a_worker_that_is_unable_says_why_in_a_sentence() -> None:
    assert [str(WorkerError(why)) for why in ("No shell", "No shell.")] == ["No shell.", "No shell."]
