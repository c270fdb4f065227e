"""Admission: which operations run, which wait for a moment, and which are refused because the server is busy.

One thread answers all requests. More concurrent operations than keep that thread and the database busy make none of
them faster, and each holds memory. So an operation takes a share of the server's capacity while it runs, its weight,
and only as many run as have room. A few wait, and all others are refused before anything expensive is done for them.
Point reads need no room: they take less time than admission does.

Anonymous callers together never take the whole capacity, and wait while any signed-in caller does.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, TypeVar

from graph.engine.request_bodies import Bodies
from graph.engine.time_share import TimeShare
from graph.errors import Overloaded
from resolvers.concurrency import event_loop

T = TypeVar("T")

WHOLE = 1_000
"""The capacity, as a sum of weights."""
ANONYMOUS_SHARE = 750
"""The part of it for all operations of anonymous callers together."""
LARGEST_SHARE = 650
"""The part of it for one operation however large, so that small ones have room beside it."""
ANONYMOUS_ROOM, SIGNED_IN_ROOM = 1_500, 6_000
"""The total weight that may wait, by group of callers."""
MAX_WAIT = 2.0
"""Seconds that an operation may wait before it is refused."""
MAX_POINTS = 64
"""Concurrent point reads of anonymous callers: they take 0.15 ms each, so more would delay everybody by 10 ms."""

NEW_DOCUMENT = 500
"""The weight reserved for an anonymous caller's operation while its document is read."""

SMALLEST = 20
"""The least weight of an operation."""
OBJECTS_A_SLOT = 2_000
"""Objects of an answer that keep the thread busy for about 10 ms, the work of one slot."""
SECONDS_A_SLOT = 0.25
"""Seconds of an operation that fill a slot even if it returns few objects: the database is as busy as for many."""
BYTES_AN_OBJECT = 160
BYTES_HELD = 3
"""Bytes of memory held while an answer is made, for each byte of the answer."""
A_PAGE = 20
"""Objects assumed for each page of an operation that has not been answered before."""
SHAPES = 1_000
"""Shapes of operations whose cost is remembered."""

REFUSED_AFTER = 0.02
"""Seconds before a refusal is sent, so that clients that retry at once cost little."""
REFUSALS_A_SECOND = 5_000


@dataclass(frozen=True)
class Capacity:
    """The capacity of one process."""

    slots: int
    """Concurrent operations of many objects."""
    memory: int
    """Bytes for answers while they are made."""

    def weight(self, cost: "Cost") -> int:
        """The part of the capacity that an answer takes."""
        load = min(1.0, max(cost.objects / OBJECTS_A_SLOT, cost.seconds / SECONDS_A_SLOT)) / self.slots
        memory = BYTES_HELD * (cost.size or BYTES_AN_OBJECT * cost.objects) / self.memory
        return int(min(LARGEST_SHARE, max(SMALLEST, WHOLE * load, WHOLE * memory)))


class Cost(NamedTuple):
    """The measured or expected cost of an answer."""

    objects: int
    size: int = 0
    """The answer's bytes; 0 if unknown."""
    seconds: float = 0.0
    """Seconds that the answer took."""


class Costs:
    """Recent costs of operations, by shape."""

    def __init__(self) -> None:
        # Keyed by hash: shapes may be as large as documents.
        self._known: OrderedDict[int, Cost] = OrderedDict()

    def expected(self, shape: Hashable, levels: int, allowed: int) -> Cost:
        """The expected cost of an answer: the recent cost, or else an estimate from its levels of pages."""
        known = self._known.get(hash(shape))
        return Cost(min(allowed, A_PAGE**levels)) if known is None else known

    def note(self, shape: Hashable, cost: Cost) -> None:
        """Record the cost of an operation. A higher cost than expected counts at once, a lower one only gradually."""
        key = hash(shape)
        known = self._known.pop(key, cost)
        self._known[key] = Cost(
            int(_approach(known.objects, cost.objects)),
            int(_approach(known.size, cost.size)),
            _approach(known.seconds, cost.seconds),
        )
        if len(self._known) > SHAPES:
            self._known.popitem(last=False)


def _approach(known: float, found: float) -> float:
    return max(found, 0.8 * known + 0.2 * found)


@dataclass
class Line:
    """The operations of one group of callers: those that run, by their weight, and those that wait."""

    share: int
    room: int
    running: int = 0
    waits: int = 0
    """The total weight that waits."""
    waiting: "deque[tuple[int, asyncio.Future[None]]]" = field(default_factory=deque)

    @property
    def is_full(self) -> bool:
        """Whether no more operations may wait."""
        return self.waits >= self.room


class Admission:
    """Lets operations run while there is room for them."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.costs = Costs()
        self.documents = TimeShare(0.5, burst=1.0)
        """The time share for reading new documents of anonymous callers."""
        self._new_documents = 0
        """Documents that are being read or wait to be read."""
        self.deliveries = TimeShare(0.25, burst=0.5)
        """The time share for subscriptions of anonymous callers."""
        self.unpacking = TimeShare(0.25, burst=0.5)
        """The time share for decompressing bodies; when it is used up, anonymous callers' compressed bodies are
        refused."""
        self.bodies = Bodies(capacity.memory // 4)
        self.points = 0
        """Anonymous callers' point reads in progress."""
        self._anonymous = Line(ANONYMOUS_SHARE, ANONYMOUS_ROOM)
        self._signed_in = Line(WHOLE, SIGNED_IN_ROOM)
        self._refused_until = 0.0

    @property
    def running(self) -> int:
        """The total weight of running operations."""
        return self._anonymous.running + self._signed_in.running

    @property
    def waiting(self) -> int:
        """The number of waiting operations."""
        return len(self._anonymous.waiting) + len(self._signed_in.waiting)

    @property
    def is_full(self) -> bool:
        """Whether an anonymous caller's operation, other than a point read, would be refused."""
        return self._anonymous.waits + NEW_DOCUMENT * self._new_documents >= ANONYMOUS_ROOM

    def place(self, cost: Cost, *, signed_in: bool, patient: bool = False) -> "Place":
        """Room for an operation: `async with` waits for it or raises Overloaded; never the latter if `patient`."""
        line = self._signed_in if signed_in else self._anonymous
        return Place(self, line, self.capacity.weight(cost), patient)

    async def point(self, read: Callable[[], Awaitable[T]]) -> T:
        """Run a point read for an anonymous caller. Raises Overloaded when there are too many of them."""
        if self.points >= MAX_POINTS:
            raise Overloaded
        self.points += 1
        try:
            return await read()
        finally:
            self.points -= 1

    @asynccontextmanager
    async def new_document(self) -> AsyncIterator[None]:
        """Read an anonymous caller's document in this block. Raises Overloaded while there is no room for it.

        Room for its operation is reserved meanwhile, so that no document is read only for the operation to be refused.
        """
        if self.is_full or self.documents.is_used_up:
            raise Overloaded
        self._new_documents += 1
        try:
            if not self.documents.is_rested:
                # One after the other: each takes as long as a dozen point reads, or a hundred.
                await event_loop.yield_to_event_loop()
            with self.documents.taking():
                yield
        finally:
            self._new_documents -= 1

    async def refusal_due(self) -> None:
        """Return when it is time to send a refusal."""
        now = asyncio.get_running_loop().time()
        self._refused_until = max(now + REFUSED_AFTER, self._refused_until + 1 / REFUSALS_A_SECOND)
        await asyncio.sleep(self._refused_until - now)

    def fits(self, line: Line, weight: int) -> bool:
        """Whether an operation may start now; those of signed-in callers always may."""
        if line is self._signed_in and not line.running:
            return True
        return line.running + weight <= line.share and self.running + weight <= WHOLE

    def admit(self) -> None:
        """Start the waiting operations that have room now, those of signed-in callers first."""
        self._admit(self._signed_in)
        if not self._signed_in.waiting:
            self._admit(self._anonymous)

    def _admit(self, line: Line) -> None:
        while line.waiting:
            weight, turn = line.waiting[0]
            if not turn.done():
                if not self.fits(line, weight):
                    return
                line.running += weight
                turn.set_result(None)
            line.waiting.popleft()

    def may_begin(self, line: Line, weight: int) -> bool:
        """Whether an operation that arrives now starts at once: it has room, and none waits before it."""
        return not line.waiting and not self._signed_in.waiting and self.fits(line, weight)


class Place:
    """Room for one operation while it runs."""

    def __init__(self, admission: Admission, line: Line, weight: int, patient: bool) -> None:
        self._admission, self._line = admission, line
        self._weight, self._patient = weight, patient

    async def __aenter__(self) -> "Place":
        if self._admission.may_begin(self._line, self._weight):
            self._line.running += self._weight
        else:
            await self._wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def grow(self, cost: Cost) -> None:
        """Update the weight of the operation. Raises Overloaded when it outgrows what was expected, and the room."""
        weight = self._admission.capacity.weight(cost)
        more = weight - self._weight
        if more <= 0:
            return
        if self._line.share < WHOLE and self._line.running + more > self._line.share and self._others():
            raise Overloaded
        self._weight = weight
        self._line.running += more

    def _others(self) -> bool:
        """Whether other operations of the same group of callers are running."""
        return self._line.running - self._weight > 0

    async def _wait(self) -> None:
        line = self._line
        if line.is_full and not self._patient:
            raise Overloaded
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting.append((self._weight, turn))
        line.waits += self._weight
        try:
            async with asyncio.timeout(None if self._patient else MAX_WAIT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # It was admitted at the very moment of its cancellation.
                self._leave()
            else:
                turn.cancel()
                self._admission.admit()
            if isinstance(error, TimeoutError):
                raise Overloaded from None
            raise
        finally:
            line.waits -= self._weight

    def _leave(self) -> None:
        self._line.running -= self._weight
        self._admission.admit()
