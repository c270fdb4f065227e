"""Quotas: how many requests, objects and uploads a user and a token have a day, and how many they have used.

Use is counted in memory, and added to what is stored every few seconds by one command for all users and tokens, so that
a request costs no write. Each process therefore learns late what others counted, and a quota may be exceeded by what
fits between two of these commands.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from pydantic import BaseModel
from pymongo import UpdateOne

from documents.access.quota_usage import QuotaUsage
from documents.base import now
from documents.outage import outage_of
from resolvers.access.quota_sizes import QuotaName, QuotaSubject, Sizes
from resolvers.access.viewer import Role, Viewer
from resolvers.outage_log import count_outage
from resolvers.user_errors import Refusal

FLUSH_INTERVAL = 3.0
"""Seconds between two flushes of what was counted."""
MAX_IDLE = timedelta(minutes=1)
"""How long the use of a user or token is remembered that asks for nothing."""

log = structlog.stdlib.get_logger("resolvers.quota")


class Quota(NamedTuple):
    """One quota of a viewer."""

    subject: QuotaSubject
    id: str
    name: QuotaName
    size: int


class QuotaState(BaseModel):
    """A quota as viewers see it."""

    subject: str
    name: str
    size: int
    used: int
    renewed_at: datetime


class QuotaExceeded(Refusal):
    """A quota that is used up until the next day begins."""

    code = "QUOTA_EXCEEDED"

    def __init__(self, quota: Quota, renewed_at: datetime) -> None:
        super().__init__(
            f"The quota of {quota.size:,} {quota.name.stored_name} a day of {quota.id} is used up. It is renewed at "
            f"{renewed_at:%Y-%m-%dT%H:%M:%SZ}."
        )
        self.renewed_at = renewed_at


@dataclass
class _Use:
    """A subject's use on a day: as it was stored at the last flush, and counted since."""

    subject: str
    day: datetime
    touched_at: datetime
    stored: Counter[str] = field(default_factory=Counter)
    pending: Counter[str] = field(default_factory=Counter)

    @property
    def id(self) -> str:
        return f"{QuotaUsage.kind}_{self.subject}_{self.day:%Y%m%d}"

    def used(self, name: QuotaName) -> int:
        return self.stored[name.stored_name] + self.pending[name.stored_name]


class QuotaMeter:
    """Counts what viewers use. Administrators have no quotas."""

    def __init__(self, sizes: Sizes, clock: Callable[[], datetime] = now) -> None:
        self._sizes = {key: size for key, size in sizes.items() if size}
        self._clock = clock
        self._uses: dict[str, _Use] = {}

    async def check(self, viewer: Viewer, *names: QuotaName) -> None:
        """Raise QuotaExceeded when one of these quotas of the viewer is used up."""
        for quota in self._quotas(viewer):
            if quota.name in names and (await self._use(quota.id)).used(quota.name) >= quota.size:
                raise QuotaExceeded(quota, self._day() + timedelta(days=1))

    async def add(self, viewer: Viewer, name: QuotaName, count: int = 1) -> None:
        """Count what the viewer has used."""
        for quota in self._quotas(viewer):
            if quota.name is name:
                (await self._use(quota.id)).pending[name.stored_name] += count

    async def states(self, viewer: Viewer) -> list[QuotaState]:
        """The viewer's quotas, those of the user first."""
        return [
            QuotaState(
                subject=quota.subject,
                name=quota.name,
                size=quota.size,
                used=(await self._use(quota.id)).used(quota.name),
                renewed_at=self._day() + timedelta(days=1),
            )
            for quota in self._quotas(viewer)
        ]

    async def flush(self) -> None:
        """Add what was counted to what is stored, and read what others have added."""
        collection = QuotaUsage.get_pymongo_collection()
        written = {id: Counter(use.pending) for id, use in self._uses.items() if use.pending}
        if written:
            await collection.bulk_write([_addition(self._uses[id], counts) for id, counts in written.items()])
        for id, counts in written.items():
            self._uses[id].pending -= counts
            self._uses[id].stored += counts
        self._forget_idle()
        if self._uses:
            async for row in collection.find({"_id": {"$in": list(self._uses)}}):
                self._uses[row["_id"]].stored = _counts(row)

    def _quotas(self, viewer: Viewer) -> Iterator[Quota]:
        if viewer.role is Role.ADMIN:
            return
        ids = {QuotaSubject.USER: viewer.user_id, QuotaSubject.TOKEN: viewer.token_id}
        for (subject, name), size in self._sizes.items():
            if id := ids[subject]:
                yield Quota(subject, id, name, size)

    async def _use(self, subject: str) -> _Use:
        """The subject's use today, read from the database where it is not remembered."""
        use = _Use(subject, self._day(), self._clock())
        if use.id not in self._uses:
            row = await QuotaUsage.get_pymongo_collection().find_one({"_id": use.id})
            use.stored = _counts(row or {})
            # Another request may have read it meanwhile, and have counted.
            self._uses.setdefault(use.id, use)
        known = self._uses[use.id]
        known.touched_at = use.touched_at
        return known

    def _day(self) -> datetime:
        return self._clock().replace(hour=0, minute=0, second=0, microsecond=0)

    def _forget_idle(self) -> None:
        before = self._clock() - MAX_IDLE
        for id in [id for id, use in self._uses.items() if not use.pending and use.touched_at < before]:
            del self._uses[id]


def _addition(use: _Use, counts: Counter[str]) -> UpdateOne:
    first = {"subject": use.subject, "day": use.day}
    return UpdateOne({"_id": use.id}, {"$inc": dict(counts), "$setOnInsert": first}, upsert=True)


def _counts(row: dict[str, int]) -> Counter[str]:
    return Counter({name.stored_name: row.get(name.stored_name, 0) for name in QuotaName})


class _Current:
    meter: QuotaMeter | None = None


def use_meter(meter: QuotaMeter | None) -> None:
    """Count by this meter from now on; None means that there are no quotas."""
    _Current.meter = meter


def current_meter() -> QuotaMeter | None:
    """The meter in use, None where there are no quotas."""
    return _Current.meter


async def quotas(viewers: list[object], viewer: Viewer) -> list[list[dict[str, object]]]:
    """The viewer's quotas, for each row of it."""
    meter = current_meter()
    states = [state.model_dump() for state in await meter.states(viewer)] if meter else []
    return [states for _ in viewers]


@asynccontextmanager
async def run_meter(sizes: Sizes, interval: float = FLUSH_INTERVAL) -> AsyncIterator[None]:
    """Count within the block, and flush at intervals and at its end; does nothing where all sizes are 0."""
    if not any(sizes.values()):
        yield
        return
    meter = QuotaMeter(sizes)
    use_meter(meter)
    task = asyncio.create_task(_flush_until_cancelled(meter, interval), name="quotas")
    try:
        yield
    finally:
        use_meter(None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _try_flush(meter)


async def _flush_until_cancelled(meter: QuotaMeter, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        await _try_flush(meter)


async def _try_flush(meter: QuotaMeter) -> None:
    """Flush; while the database is away, what was counted stays for the next time."""
    try:
        await meter.flush()
    except Exception as error:
        if outage_of(error):
            count_outage("quotas were not stored", error, "flush")
        else:
            log.exception("quotas were not stored")
