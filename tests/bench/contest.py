"""Comparing subjects by turns: what disturbs the machine for a while disturbs all of them."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

import orjson

from tests.bench.cases import Case
from tests.bench.load import Turn, take_turn
from tests.bench.servers import Server


class Subject(Protocol):
    """A server, or one way to ask it, that can be measured."""

    @property
    def name(self) -> str: ...

    def cpu(self) -> float:
        """Seconds of CPU it has used."""

    async def turn(self, case: Case, connections: int, seconds: float) -> Turn:
        """Ask it for so long."""


@dataclass(frozen=True)
class Served:
    """A server, asked over HTTP."""

    server: Server

    @property
    def name(self) -> str:
        return self.server.name

    def cpu(self) -> float:
        return self.server.cpu()

    async def turn(self, case: Case, connections: int, seconds: float) -> Turn:
        addresses = self.server.addresses
        return await take_turn(addresses, [case.requests(one) for one in addresses], connections, seconds)


@dataclass(frozen=True)
class InProcess:
    """A function of this process, called again and again."""

    name: str
    answer: Callable[[], Awaitable[bytes]]

    def cpu(self) -> float:
        return time.process_time()

    async def turn(self, case: Case, connections: int, seconds: float) -> Turn:
        began = last = time.perf_counter()
        took: list[float] = []
        while not took or last - began < seconds:
            await self.answer()
            now = time.perf_counter()
            took.append(now - last)
            last = now
        return Turn(took, last - began)


@dataclass(frozen=True)
class Figures:
    """The figures of a subject: medians over all requests to it."""

    ms: float
    """Time of an answer."""
    p99: float
    per_second: float
    cpu_ms: float
    """CPU of an answer, in the processes of the subject alone."""
    answers: int


@dataclass
class Contest:
    """A case at a number of connections, asked of several subjects by turns."""

    case: Case
    connections: int
    subjects: Sequence[Subject]
    warm_up: float
    """Seconds; 0 for none."""
    seconds: float
    rounds: int

    async def run(self, advance: Callable[[str], None]) -> dict[str, Figures]:
        """The figures of each subject. `advance` is told whose turn begins."""
        tallies = {subject.name: Tally() for subject in self.subjects}
        for subject in self.subjects if self.warm_up else ():
            advance(subject.name)
            await subject.turn(self.case, self.connections, self.warm_up)
        for _ in range(self.rounds):
            for subject in self.subjects:
                advance(subject.name)
                cpu = subject.cpu()
                turn = await subject.turn(self.case, self.connections, self.seconds)
                tallies[subject.name].add(turn, subject.cpu() - cpu)
        return {name: tally.figures() for name, tally in tallies.items()}


@dataclass
class Tally:
    """The turns of one subject."""

    took: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def add(self, turn: Turn, cpu: float) -> None:
        """Count a turn."""
        self.took += turn.seconds
        self.rates.append(turn.per_second)
        self.cpu += cpu

    def figures(self) -> Figures:
        """The medians."""
        ordered = sorted(self.took)
        return Figures(
            ms=1000 * median(ordered),
            p99=1000 * ordered[int(0.99 * (len(ordered) - 1))],
            per_second=median(self.rates),
            cpu_ms=1000 * self.cpu / len(ordered),
            answers=len(ordered),
        )


def as_json(value: object) -> bytes:
    """Readable JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)
