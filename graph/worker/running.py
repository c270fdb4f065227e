"""One activity from its claim to its end."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any

from graph.worker import say
from graph.worker.claimed import Claimed
from graph.worker.command import Command
from graph.worker.environment import environment, write_activity_file
from graph.worker.files import NotMoved
from graph.worker.guard import Guard
from graph.worker.inputs import fetch_inputs
from graph.worker.lease import Lease, Lost
from graph.worker.log_lines import INFO, WARNING, Log
from graph.worker.options import Misused, NotTaken, Options
from graph.worker.outputs import upload_outputs
from graph.worker.place import Place, a_place
from graph.worker.queries import COMPLETE, RELEASE
from graph.worker.server import Refused, Server

FINISH_WITHIN = 5.0
"""Seconds that an activity whose command has ended gets for its last reports when the worker is told to stop."""
RELEASE_WITHIN = 4.0
"""Seconds for handing back; without an answer the lease lapses."""
LONGEST_SHOWN = 2_000
CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"


class Failed(Exception):
    """The activity cannot succeed: why, for programs and for people, and whether trying again may help."""

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "retryable": retryable}


class Running:
    """An activity that this worker runs."""

    def __init__(self, server: Server, claimed: Claimed, lease: Lease, options: Options, guard: Guard) -> None:
        self._server, self._claimed, self._lease = server, claimed, lease
        self._options, self._guard = options, guard
        self._log = Log(server, claimed, lease)
        self._command_ended = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Run it to its end and report that; or, told to stop, hand it back. Raises Misused."""
        keeping, work = asyncio.create_task(self._lease.keep()), asyncio.create_task(self._work())
        lost, stop = asyncio.create_task(self._lease.lost.wait()), asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({work, lost, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done() and self._command_ended:
                await asyncio.wait({work, lost}, timeout=FINISH_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                self._conclude(work)
            else:
                await self._abandon(work)
        finally:
            for task in (work, keeping, lost, stop):
                task.cancel()
            await asyncio.gather(work, keeping, lost, stop, return_exceptions=True)

    def _conclude(self, work: "asyncio.Task[None]") -> None:
        """Say how it went when it could not be reported."""
        label = self._claimed.label
        try:
            work.result()
        except Misused:
            raise
        except Lost:
            say.warning("%s: lost. %s", label, self._lease.why)
        except Refused as refusal:
            say.error("%s: its end was refused, and its lease will lapse. %s", label, refusal)
        except Exception:
            say.exception("%s: the worker failed, and the lease will lapse.", label)

    async def _abandon(self, work: "asyncio.Task[None]") -> None:
        """End the command, and hand the activity back if it is still ours."""
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        label = self._claimed.label
        if self._lease.lost.is_set():
            say.warning("%s: lost, and its command was ended. %s", label, self._lease.why)
            return
        try:
            async with asyncio.timeout(RELEASE_WITHIN):
                await self._server.change(RELEASE, **self._ours())
            say.info("%s: handed back.", label)
        except (TimeoutError, Refused, Misused) as error:
            say.warning("%s: not handed back, so its lease will lapse. %s", label, error)

    async def _work(self) -> None:
        label = self._claimed.label
        try:
            async with a_place(self._options.directory, self._guard, keep=self._options.keep) as place:
                if self._options.keep:
                    say.info("%s: works in %s", label, place.folder)
                files = await self._done_in(place)
        except Failed as failure:
            await self._complete("FAILED", failure.error)
            how = "failed, and may be tried again" if failure.error["retryable"] else "failed"
            say.error("%s: %s. %s", label, how, str(failure).replace("\n", " | "))
        else:
            await self._complete("SUCCEEDED", None)
            say.info("%s: succeeded. Log lines: %d, files: %d.", label, self._log.lines, files)

    async def _done_in(self, place: Place) -> int:
        """How many files were registered, once the command has succeeded. Raises Failed and Lost."""
        failing = "INPUTS_NOT_FETCHED"
        try:
            if self._claimed.is_step:
                await fetch_inputs(self._server, self._claimed, place.inputs)
            failing = "COMMAND_NOT_STARTED"
            code = await self._run_command(place)
            self._command_ended = True
            self._check(code)
            failing = "OUTPUTS_NOT_UPLOADED"
            return await upload_outputs(self._server, self._claimed, place.outputs) if self._claimed.is_step else 0
        except NotTaken as error:
            raise Failed(failing, str(error), retryable=False) from error
        except (NotMoved, OSError) as error:
            raise Failed(failing, str(error) or type(error).__name__, retryable=True) from error
        except Refused as refusal:
            # One that says that the lease is over means that nobody is to be told of anything.
            with suppress(Refused):
                self._lease.refused(refusal)
            raise Failed(failing, str(refusal), retryable=refusal.code == CHECKSUM_MISMATCH) from refusal

    async def _run_command(self, place: Place) -> int:
        """The command's exit code, after all that it wrote has been sent."""
        write_activity_file(self._claimed, place, self._options)
        variables = environment(self._claimed, place, self._options, os.environ)
        command = await Command.start(self._options.command, place.work, variables, self._guard)
        sending, reading = asyncio.create_task(self._log.send()), asyncio.create_task(self._read(command))
        try:
            await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_EXCEPTION)
            if sending.done():
                sending.result()
            return await reading
        finally:
            reading.cancel()
            sending.cancel()
            await asyncio.shield(command.end())
            await asyncio.gather(reading, sending, return_exceptions=True)

    async def _read(self, command: Command) -> int:
        """The command's exit code, after all that it wrote has been read."""
        streams = ((command.stdout, INFO), (command.stderr, WARNING))
        following = asyncio.gather(*(self._log.follow(stream, level) for stream, level in streams))
        try:
            code = await command.wait()
            self._log.over()
            await following
        finally:
            following.cancel()
        await self._log.close()
        return code

    def _check(self, code: int) -> None:
        """Raise Failed for every exit code but 0."""
        if code == 0:
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        last = "\n".join(self._log.last)[-LONGEST_SHOWN:]
        message = f"The command {how}.\n{last}" if last else f"The command {how}."
        name = f"SIGNAL_{-code}" if code < 0 else f"EXIT_CODE_{code}"
        raise Failed(name, message, retryable=code in self._options.retry_on)

    async def _complete(self, outcome: str, error: dict[str, Any] | None) -> None:
        if self._lease.elsewhere:
            return
        try:
            await self._server.change(COMPLETE, **self._ours(), outcome=outcome, error=error)
        except Refused as refusal:
            self._lease.refused(refusal)

    def _ours(self) -> dict[str, Any]:
        return {"id": self._claimed.id, "worker": self._options.name, "attempt": self._claimed.attempt}
