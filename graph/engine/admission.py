"""Admission control: which operations run, which wait for a moment, and which are refused because the server is busy.

One thread answers all requests. More concurrent operations than keep that thread and the database busy make none of
them faster, and each holds memory. So an operation takes a share of the server's capacity while it runs, its weight,
and only as many run as have room. A few wait, and all others are refused before anything expensive is done for them.
Point reads need no room: they take less time than admission does.

Anonymous callers together never take the whole capacity, and wait while any signed-in caller does.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, TypeVar

from graph.engine.event_loop_share import TimeShare
from graph.engine.request_bodies import RequestBodies
from graph.errors import Overloaded, OverloadReason
from resolvers.concurrency import event_loop

T = TypeVar("T")

TOTAL_WEIGHT = 1_000
"""The capacity of a process, as a sum of weights."""
ANONYMOUS_WEIGHT = 750
"""The part of it for all operations of anonymous callers together."""
MAX_WEIGHT = 650
"""The weight of one operation however large, so that small ones still have room."""
MAX_ANONYMOUS_WAITING, MAX_SIGNED_IN_WAITING = 1_500, 6_000
"""The total weight that may wait, by group of callers."""
WAIT_TIMEOUT = 2.0
"""Seconds that an operation may wait before it is refused."""
MAX_POINT_READS = 64
"""Concurrent point reads of anonymous callers: they take 0.15 ms each, so more would delay everybody by 10 ms."""

NEW_DOCUMENT_WEIGHT = 500
"""The weight reserved for an anonymous caller's operation while its document is read."""

MIN_WEIGHT = 20
"""The weight of the smallest operation."""
OBJECTS_PER_SLOT = 2_000
"""Objects of an answer that keep the thread busy for about 10 ms, the work of one slot."""
SECONDS_PER_SLOT = 0.25
"""Seconds of an operation that fill a slot even if it returns few objects: the database is as busy as for many."""
BYTES_PER_OBJECT = 160
MEMORY_PER_ANSWER_BYTE = 3
"""Bytes of memory held while an answer is made, for each byte of the answer."""
ASSUMED_OBJECTS_PER_PAGE = 20
"""Objects of a page of an operation whose cost is unknown."""
MAX_COSTS = 1_000
"""Operations whose cost is remembered."""

REFUSAL_DELAY = 0.02
"""Seconds before a refusal is sent, so that clients that retry at once cost little."""
MAX_REFUSALS_PER_SECOND = 5_000


@dataclass(frozen=True)
class Capacity:
    """The capacity of one process."""

    slots: int
    """Concurrent operations of many objects."""
    memory: int
    """Bytes for answers while they are made."""

    def weight(self, cost: "Cost") -> int:
        """The part of the capacity that an answer takes."""
        load = min(1.0, max(cost.objects / OBJECTS_PER_SLOT, cost.seconds / SECONDS_PER_SLOT)) / self.slots
        memory = MEMORY_PER_ANSWER_BYTE * (cost.size or BYTES_PER_OBJECT * cost.objects) / self.memory
        return int(min(MAX_WEIGHT, max(MIN_WEIGHT, TOTAL_WEIGHT * load, TOTAL_WEIGHT * memory)))


class Cost(NamedTuple):
    """The measured or expected cost of an answer."""

    objects: int
    size: int = 0
    """The answer's bytes; 0 if unknown."""
    seconds: float = 0.0
    """Seconds that the answer took."""


class Costs:
    """Recent costs of operations, by a key that similar operations share."""

    def __init__(self) -> None:
        # Keyed by hash: keys may be as large as documents.
        self._costs: OrderedDict[int, Cost] = OrderedDict()

    def estimate(self, key: Hashable, levels: int, max_objects: int) -> Cost:
        """The expected cost of an answer: the recent cost, or else an estimate from its levels of pages."""
        recent = self._costs.get(hash(key))
        return Cost(min(max_objects, ASSUMED_OBJECTS_PER_PAGE**levels)) if recent is None else recent

    def record(self, key: Hashable, cost: Cost) -> None:
        """Record the cost of an operation. A higher cost than expected counts at once, a lower one only gradually."""
        hashed = hash(key)
        recent = self._costs.pop(hashed, cost)
        self._costs[hashed] = Cost(
            int(_approach(recent.objects, cost.objects)),
            int(_approach(recent.size, cost.size)),
            _approach(recent.seconds, cost.seconds),
        )
        if len(self._costs) > MAX_COSTS:
            self._costs.popitem(last=False)


def _approach(recent: float, measured: float) -> float:
    return max(measured, 0.8 * recent + 0.2 * measured)


@dataclass
class CallerGroup:
    """The operations of one group of callers: those that run, by their weight, and those that wait."""

    max_running: int
    """The total weight that may run."""
    max_waiting: int
    """The total weight that may wait."""
    running: int = 0
    """The number of operations that run."""
    running_weight: int = 0
    """The total weight that runs."""
    waiting_weight: int = 0
    """The total weight that waits."""
    waiting: "deque[tuple[int, asyncio.Future[None]]]" = field(default_factory=deque)

    @property
    def is_full(self) -> bool:
        """Whether no more operations may wait."""
        return self.waiting_weight >= self.max_waiting

    def start(self, weight: int) -> None:
        """Count an operation that starts to run."""
        self.running += 1
        self.running_weight += weight

    def end(self, weight: int) -> None:
        """Count an operation that has ended."""
        self.running -= 1
        self.running_weight -= weight


class Admission:
    """Admits operations while there is room for them."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.costs = Costs()
        self.document_time = TimeShare(0.5, burst=1.0)
        """The time share for reading new documents of anonymous callers."""
        self._new_documents = 0
        """Documents that are being read or wait to be read."""
        self.delivery_time = TimeShare(0.25, burst=0.5)
        """The time share for subscriptions of anonymous callers."""
        self.decompression_time = TimeShare(0.25, burst=0.5)
        """The time share for decompressing bodies; when it is used up, anonymous callers' compressed bodies are
        refused."""
        self.bodies = RequestBodies(capacity.memory // 4)
        self.point_reads = 0
        """Anonymous callers' point reads in progress."""
        self._anonymous = CallerGroup(ANONYMOUS_WEIGHT, MAX_ANONYMOUS_WAITING)
        self._signed_in = CallerGroup(TOTAL_WEIGHT, MAX_SIGNED_IN_WAITING)
        self._refused_until = 0.0
        self.refused: Counter[str] = Counter(dict.fromkeys(OverloadReason, 0))
        """Refusals so far, by reason."""

    @property
    def groups(self) -> dict[str, CallerGroup]:
        """The groups of callers, by name."""
        return {"anonymous": self._anonymous, "signed_in": self._signed_in}

    @property
    def running(self) -> int:
        """The total weight of running operations."""
        return self._anonymous.running_weight + self._signed_in.running_weight

    @property
    def waiting(self) -> int:
        """The number of waiting operations."""
        return len(self._anonymous.waiting) + len(self._signed_in.waiting)

    @property
    def is_full(self) -> bool:
        """Whether an anonymous caller's operation, other than a point read, would be refused."""
        return self._anonymous.waiting_weight + NEW_DOCUMENT_WEIGHT * self._new_documents >= MAX_ANONYMOUS_WAITING

    def permit(self, cost: Cost, *, signed_in: bool, patient: bool = False) -> "Permit":
        """Room for an operation: `async with` waits for it or raises Overloaded; never the latter if `patient`."""
        group = self._signed_in if signed_in else self._anonymous
        return Permit(self, group, self.capacity.weight(cost), patient)

    async def run_point_read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Run a point read for an anonymous caller. Raises Overloaded when there are too many of them."""
        if self.point_reads >= MAX_POINT_READS:
            raise Overloaded(OverloadReason.POINT_READS)
        self.point_reads += 1
        try:
            return await read()
        finally:
            self.point_reads -= 1

    @asynccontextmanager
    async def new_document(self) -> AsyncIterator[None]:
        """Read an anonymous caller's document in this block. Raises Overloaded while there is no room for it.

        Room for its operation is reserved meanwhile, so that no document is read only for the operation to be refused.
        """
        if self.is_full or self.document_time.is_used_up:
            raise Overloaded(OverloadReason.NEW_DOCUMENTS)
        self._new_documents += 1
        try:
            if not self.document_time.is_rested:
                # One after the other: each takes as long as a dozen point reads, or a hundred.
                await event_loop.yield_to_event_loop()
            with self.document_time.measure():
                yield
        finally:
            self._new_documents -= 1

    async def delay_refusal(self, reason: OverloadReason) -> None:
        """Count a refusal, and wait until it is time to send it."""
        self.refused[reason] += 1
        now = asyncio.get_running_loop().time()
        self._refused_until = max(now + REFUSAL_DELAY, self._refused_until + 1 / MAX_REFUSALS_PER_SECOND)
        await asyncio.sleep(self._refused_until - now)

    def fits(self, group: CallerGroup, weight: int) -> bool:
        """Whether an operation may start now; those of signed-in callers always may."""
        if group is self._signed_in and not group.running_weight:
            return True
        return group.running_weight + weight <= group.max_running and self.running + weight <= TOTAL_WEIGHT

    def admit(self) -> None:
        """Start the waiting operations that have room now, those of signed-in callers first."""
        self._admit(self._signed_in)
        if not self._signed_in.waiting:
            self._admit(self._anonymous)

    def _admit(self, group: CallerGroup) -> None:
        while group.waiting:
            weight, admitted = group.waiting[0]
            if not admitted.done():
                if not self.fits(group, weight):
                    return
                group.start(weight)
                admitted.set_result(None)
            group.waiting.popleft()

    def may_start(self, group: CallerGroup, weight: int) -> bool:
        """Whether an operation that arrives now starts at once: it has room, and none waits before it."""
        return not group.waiting and not self._signed_in.waiting and self.fits(group, weight)


class Permit:
    """The permit for one operation to run, with its weight."""

    def __init__(self, admission: Admission, group: CallerGroup, weight: int, patient: bool) -> None:
        self._admission, self._group = admission, group
        self._weight, self._patient = weight, patient

    async def __aenter__(self) -> "Permit":
        if self._admission.may_start(self._group, self._weight):
            self._group.start(self._weight)
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
        growth = weight - self._weight
        if growth <= 0:
            return
        group = self._group
        others_run = group.running_weight > self._weight
        if group.max_running < TOTAL_WEIGHT and group.running_weight + growth > group.max_running and others_run:
            raise Overloaded(OverloadReason.OUTGROWN)
        self._weight = weight
        group.running_weight += growth

    async def _wait(self) -> None:
        group = self._group
        if group.is_full and not self._patient:
            raise Overloaded(OverloadReason.QUEUE_FULL)
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group.waiting.append((self._weight, admitted))
        group.waiting_weight += self._weight
        try:
            async with asyncio.timeout(None if self._patient else WAIT_TIMEOUT):
                await admitted
        except BaseException as error:
            if admitted.done() and not admitted.cancelled():
                # It was admitted at the very moment of its cancellation.
                self._leave()
            else:
                admitted.cancel()
                self._admission.admit()
            if isinstance(error, TimeoutError):
                raise Overloaded(OverloadReason.WAIT_TIMEOUT) from None
            raise
        finally:
            group.waiting_weight -= self._weight

    def _leave(self) -> None:
        self._group.end(self._weight)
        self._admission.admit()
