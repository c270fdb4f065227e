"""Equal questions that wait at the same time are answered once.

While one is answered, others like it gather; the first of them is answered next, and its answer is given to all that
had asked before it began. So nobody gets an answer that is older than the question, and nothing is kept. That there is
no answer is told to all who wait, who would find the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass
class Turn(Generic[Answer]):
    """What somebody who waits is told: an answer, or that it is up to them to find one."""

    answer: Answer | None = None
    yours: bool = False


class Alike(Generic[Answer]):
    """Questions being answered, by what makes them equal, with those who asked since the answer was begun."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, list[asyncio.Future[Turn[Answer]]]] = {}

    async def answer(self, key: Hashable, make: Callable[[], Awaitable[Answer | None]]) -> Answer | None:
        """What `make` gives, or gave to somebody with the same key who began after this was asked.

        None when it gave nothing, also to somebody who began before.

        What it raises reaches its own caller only; others make their answer themselves.
        """
        gathered: list[asyncio.Future[Turn[Answer]]] = []
        if key in self._asked:
            turn = await self._turn(key)
            if not turn.yours:
                return turn.answer
            gathered = self._asked[key]
        self._asked[key] = []
        try:
            made = await make()
            for other in gathered if made is not None else (*gathered, *self._asked[key]):
                if not other.done():
                    other.set_result(Turn(made))
        finally:
            # Nobody who has been told is told again; after an error all of them are still waiting.
            self._asked[key] = [other for other in (*gathered, *self._asked[key]) if not other.done()]
            self._pass_on(key)
        return made

    async def _turn(self, key: Hashable) -> Turn[Answer]:
        turn: asyncio.Future[Turn[Answer]] = asyncio.get_running_loop().create_future()
        self._asked[key].append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            # Told to go on in the very moment of being told to stop.
            if turn.done() and not turn.cancelled() and turn.result().yours:
                self._pass_on(key)
            raise

    def _pass_on(self, key: Hashable) -> None:
        waiting = self._asked[key]
        while waiting:
            turn = waiting.pop(0)
            if not turn.done():
                turn.set_result(Turn(yours=True))
                return
        del self._asked[key]
