"""Running one activity, from its claim to its end."""

import asyncio
import os
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from graph.clients.worker import log
from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.client import GraphQLClient, Json, MutationError
from graph.clients.worker.command import Command, CommandLost
from graph.clients.worker.complete_activity import complete_activity
from graph.clients.worker.environment import make_environment, write_files
from graph.clients.worker.exit_codes import NOT_RUN, explain, is_retryable, name_of, signal_of
from graph.clients.worker.failures import (
    COMMAND_LOST,
    COMMAND_NOT_STARTED,
    INPUTS_NOT_FETCHED,
    LOG_NOT_SENT,
    OUTPUTS_NOT_UPLOADED,
    ActivityError,
    WorkerError,
)
from graph.clients.worker.file_names import InvalidFileName
from graph.clients.worker.inputs import FetchedInput, fetch_inputs
from graph.clients.worker.lease_renewal import Lease, LeaseLost
from graph.clients.worker.log_shipper import INFO, WARNING, LogShipper
from graph.clients.worker.metrics import Ending, metrics
from graph.clients.worker.options import ConfigurationError, IncompatibleServer, Options
from graph.clients.worker.outputs import upload_outputs
from graph.clients.worker.pause import Pause
from graph.clients.worker.queries import RELEASE
from graph.clients.worker.retry import Retry, RetryTimeout
from graph.clients.worker.stop import FINISH_TIMEOUT, RELEASE_TIMEOUT, STOP_TIMEOUT, Stop
from graph.clients.worker.transfer import TransferError
from graph.clients.worker.used import UsedReport
from graph.clients.worker.watchdog import Watchdog
from graph.clients.worker.workspace import Workspace, open_workspace

HEALTHY_AFTER = 10.0
"""Seconds after which a command that is still running proves that this worker can run commands."""
SIGNAL_GAP = 0.5
"""Seconds between the signals by which a service manager ends a command and its worker."""
MAX_OUTPUT_SHOWN = 2_000
MAX_REASON_LENGTH = 1_000
"""Characters of a reason for handing back."""
CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"

T = TypeVar("T")


class ActivityRun:
    """An activity that this worker is running."""

    def __init__(
        self,
        client: GraphQLClient,
        claimed: ClaimedActivity,
        lease: Lease,
        options: Options,
        watchdog: Watchdog,
        stop: Stop,
        pause: Pause,
    ) -> None:
        self._claimed, self._lease, self._options = claimed, lease, options
        self._watchdog, self._stop, self._pause = watchdog, stop, pause
        self._client = client.with_retry(Retry(options.retry_within))
        self._log = LogShipper(self._client, claimed, lease)
        self._moving = client.with_retry(Retry(options.retry_within, self._log.note))
        self._command_ended = False
        self._used: list[Json] | None = None
        self._ending = Ending.LOST

    async def run(self) -> None:
        """Run the activity and report its end; or, told to stop, hand it back. Raises ConfigurationError."""
        began = time.monotonic()
        with metrics.running.track_inprogress():
            try:
                await self._run()
            finally:
                metrics.count_end(self._claimed.kind, self._ending, time.monotonic() - began)

    async def _run(self) -> None:
        renewing, work = asyncio.create_task(self._lease.renew_until_lost()), asyncio.create_task(self._work())
        lost, stop = asyncio.create_task(self._lease.lost.wait()), asyncio.create_task(self._stop.requested.wait())
        try:
            await asyncio.wait({work, lost, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done() and self._command_ended:
                left = self._stop.seconds_until(FINISH_TIMEOUT)
                await asyncio.wait({work, lost}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                self._conclude(work)
            else:
                await self._abandon(work)
        finally:
            for task in (work, renewing, lost, stop):
                task.cancel()
            await asyncio.gather(work, renewing, lost, stop, return_exceptions=True)

    def _conclude(self, work: "asyncio.Task[None]") -> None:
        """Log the outcome when it could not be reported."""
        label = self._claimed.label
        try:
            work.result()
        except LeaseLost:
            log.warning("%s: lost. %s", label, self._lease.why)
        except (MutationError, RetryTimeout, IncompatibleServer) as error:
            log.error("%s: its end could not be reported, and its lease will expire. %s", label, error)
        except ConfigurationError:
            raise
        except Exception:
            log.exception("%s: the worker failed, and the lease will expire.", label)

    async def _abandon(self, work: "asyncio.Task[None]") -> None:
        """End the command, and hand the activity back if the lease is still held."""
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        if self._lease.lost.is_set():
            log.warning("%s: lost, and its command was ended. %s", self._claimed.label, self._lease.why)
        else:
            await self._hand_back(timeout=min(RELEASE_TIMEOUT, self._stop.seconds_until(STOP_TIMEOUT)))

    async def _hand_back(self, *, reason: str | None = None, timeout: float | None = None) -> None:
        """Hand the activity back; with a reason, which its log will show, it is not available at once."""
        label, line = self._claimed.label, reason and " ".join(reason.split())[:MAX_REASON_LENGTH]
        try:
            async with asyncio.timeout(timeout):
                await self._client.mutate(RELEASE, **self._identifying_arguments(), reason=line)
            self._ending = Ending.HANDED_BACK
            log.info("%s: handed back.", label)
        except (TimeoutError, RetryTimeout, MutationError, ConfigurationError) as error:
            why = str(error) or "The server did not answer in time."
            log.warning("%s: not handed back, so its lease will expire. %s", label, why)

    async def _work(self) -> None:
        label, sending = self._claimed.label, asyncio.create_task(self._log.send())
        try:
            files = await self._while_sent(sending, self._execute())
        except WorkerError as trouble:
            pause = self._pause.begin(str(trouble))
            await self._finish_log(sending)
            await self._hand_back(reason=f"{trouble} This worker claims nothing for {pause}.")
        except ActivityError as failure:
            if failure.pause:
                self._pause.begin(str(failure))
            await self._finish_log(sending)
            await self._complete("FAILED", failure.error)
            self._ending = Ending.RETRYABLE if failure.error["retryable"] else Ending.FAILED
            how = "failed, and may be tried again" if failure.error["retryable"] else "failed"
            log.error("%s: %s. %s", label, how, str(failure).replace("\n", " | "))
        else:
            await self._finish_log(sending)
            await self._complete("SUCCEEDED", None)
            self._ending = Ending.SUCCEEDED
            log.info("%s: succeeded. Log lines: %d, files: %d.", label, self._log.lines, files)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _while_sent(self, sending: "asyncio.Task[None]", work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when the log can no longer be sent. Raises ActivityError."""
        working = asyncio.create_task(work)
        try:
            await asyncio.wait({working, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                sending.result()
            return await working
        except RetryTimeout as error:
            raise ActivityError(LOG_NOT_SENT, str(error), retryable=True, pause=True) from error
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _finish_log(self, sending: "asyncio.Task[None]") -> None:
        """Send the rest of the log, since lines are not accepted once the end is reported. Raises LeaseLost."""
        with suppress(RetryTimeout):
            if not sending.done():
                await self._log.close()
            await sending
            return
        log.error("%s: the last lines of its log could not be sent.", self._claimed.label)

    async def _execute(self) -> int:
        """Run the command and upload its files, whose number is returned.

        Raises ActivityError, WorkerError and LeaseLost.
        """
        try:
            async with open_workspace(
                self._options.directory, self._watchdog, self._stop, keep=self._options.keep
            ) as workspace:
                if self._options.keep:
                    log.info("%s: works in %s", self._claimed.label, workspace.folder)
                return await self._execute_in(workspace)
        except OSError as error:
            raise WorkerError(f"There is no folder to work in: {error}") from error

    async def _execute_in(self, workspace: Workspace) -> int:
        failing = INPUTS_NOT_FETCHED
        fetched: list[FetchedInput] = []
        try:
            if self._claimed.is_step:
                fetched = await fetch_inputs(self._moving, self._claimed, workspace.inputs)
            failing = COMMAND_NOT_STARTED
            command = await self._start(workspace)
            failing = COMMAND_LOST
            code = await self._end_of(command)
            if not is_retryable(code, self._options.retry_on):
                # The next attempt says itself what it uses.
                self._used = await UsedReport(workspace, fetched, self._log.note).entries()
            self._check(code)
            failing = OUTPUTS_NOT_UPLOADED
            return await upload_outputs(self._moving, self._claimed, workspace.outputs) if self._claimed.is_step else 0
        except (InvalidFileName, IncompatibleServer) as error:
            raise ActivityError(failing, str(error), retryable=False) from error
        except TransferError as error:
            raise ActivityError(failing, str(error), retryable=error.retryable) from error
        except CommandLost as error:
            raise ActivityError(failing, str(error), retryable=True) from error
        except (RetryTimeout, OSError) as error:
            why = str(error) or type(error).__name__
            if failing in (INPUTS_NOT_FETCHED, COMMAND_NOT_STARTED):
                raise WorkerError(why) from error
            raise ActivityError(failing, why, retryable=True, pause=isinstance(error, RetryTimeout)) from error
        except MutationError as refusal:
            # If the refusal says the lease is gone, stop without reporting.
            with suppress(MutationError):
                self._lease.handle_refusal(refusal)
            raise ActivityError(failing, str(refusal), retryable=refusal.code == CHECKSUM_MISMATCH) from refusal

    async def _start(self, workspace: Workspace) -> Command:
        """Start the command. Raises OSError."""
        write_files(self._claimed, workspace, self._options)
        environment = make_environment(self._claimed, workspace, self._options, os.environ)
        if environment.notice:
            await self._log.note(environment.notice)
        return await Command.start(self._options.command, workspace.work, environment.variables, self._watchdog)

    async def _end_of(self, command: Command) -> int:
        """The command's exit code, after all of its output has been read. Raises CommandLost."""
        works = asyncio.get_running_loop().call_later(HEALTHY_AFTER, self._pause.end)
        streams = ((command.stdout, INFO), (command.stderr, WARNING))
        following = asyncio.gather(*(self._log.follow(stream, level) for stream, level in streams))
        try:
            code = await command.wait()
            self._log.stop_reading()
            await following
        finally:
            works.cancel()
            following.cancel()
            await asyncio.shield(command.end())
            await asyncio.gather(following, return_exceptions=True)
        if signal_of(code):
            # A service manager that ends the worker too wants the activity handed back.
            await asyncio.sleep(SIGNAL_GAP)
        self._command_ended = True
        return code

    def _check(self, code: int) -> None:
        """Raise ActivityError for every exit code but 0."""
        if code not in NOT_RUN:
            self._pause.end()
        if code == 0:
            return
        last = "\n".join(self._log.last)[-MAX_OUTPUT_SHOWN:]
        message = f"{explain(code)}\n{last}" if last else explain(code)
        retryable = is_retryable(code, self._options.retry_on)
        raise ActivityError(name_of(code), message, retryable=retryable, pause=code in NOT_RUN)

    async def _complete(self, outcome: str, error: dict[str, Any] | None) -> None:
        ending = self._identifying_arguments() | {"outcome": outcome, "error": error}
        await complete_activity(self._client, self._lease, self._log.note_after_end, ending, self._used)

    def _identifying_arguments(self) -> dict[str, Any]:
        return {"id": self._claimed.id, "worker": self._options.name, "attempt": self._claimed.attempt}
