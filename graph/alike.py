"""Equal questions that wait at the same time are answered once.

While one is answered, others like it gather; the first of them is answered next, and its answer is given to all that
had asked before it began. So nobody gets an answer that is older than the question, and nothing is kept.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass
class Turn(Generic[Answer]):
    """What somebody who waits is told: an answer, or that it is up to them to find one."""

    answer: Answer | None = None
    yours: bool = False


@dataclass
class Waiting(Generic[Answer]):
    """Those who asked since the answer that is being made was begun."""

    turns: "list[asyncio.Future[Turn[Answer]]]" = field(default_factory=list)


class Alike(Generic[Answer]):
    """Questions being answered, by what makes them equal."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, Waiting[Answer]] = {}

    async def answer(self, key: Hashable, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `make` gives, or gave to somebody with the same key who began after this was asked.

        What it raises reaches its own caller only; others make their answer themselves.
        """
        waiting = self._asked.get(key)
        if waiting is None:
            waiting = self._asked[key] = Waiting()
        else:
            turn = await self._turn(key, waiting)
            if not turn.yours:
                return turn.answer  # type: ignore[return-value]
        gathered, waiting.turns = waiting.turns, []
        try:
            made = await make()
            for other in gathered:
                if not other.done():
                    other.set_result(Turn(made))
        finally:
            # Nobody who has been told is told again; after an error all of them are still waiting.
            waiting.turns = [other for other in (*gathered, *waiting.turns) if not other.done()]
            self._pass_on(key, waiting)
        return made

    async def _turn(self, key: Hashable, waiting: Waiting[Answer]) -> Turn[Answer]:
        turn: asyncio.Future[Turn[Answer]] = asyncio.get_running_loop().create_future()
        waiting.turns.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            # Told to go on in the very moment of being told to stop.
            if turn.done() and not turn.cancelled() and turn.result().yours:
                self._pass_on(key, waiting)
            raise

    def _pass_on(self, key: Hashable, waiting: Waiting[Answer]) -> None:
        while waiting.turns:
            turn = waiting.turns.pop(0)
            if not turn.done():
                turn.set_result(Turn(yours=True))
                return
        del self._asked[key]
