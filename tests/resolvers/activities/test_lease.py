"""Leases that are extended at the last moment: whoever saw that they had expired leaves the activity alone."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.base import kind_of
from resolvers.activities import claim as claiming
from resolvers.activities import lease
from resolvers.activities.lease import requeue_expired
from resolvers.activities.state_machine import apply_transition
from resolvers.limits import MAX_ATTEMPTS
from resolvers.reads.rows import Row, collection_of
from tests.resolvers.activities.test_claim import new_resource
from tests.support.builders import keep
from tests.support.clock import Clock
from tests.support.runs import a_dag, a_worker, claim, extend

pytestmark = pytest.mark.usefixtures("database", "stopped")


async def a_step() -> None:
    await a_dag(a="")


async def a_transform() -> None:
    resource = new_resource()
    await keep(resource, documents.Transform(resource_ref=resource.id, status=ActivityStatus.READY))


async def claimed_by_another() -> bool:
    return await claim(a_worker(2), "worker-2") is not None


async def swept() -> bool:
    return await requeue_expired() > 0


@pytest.mark.parametrize("waits", [a_step, a_transform])
@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPTS])
@pytest.mark.parametrize("taken", [claimed_by_another, swept])
async def test_a_lease_that_is_extended_while_somebody_looks_at_it_is_kept(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    waits: Callable[[], Awaitable[None]],
    attempt: int,
    taken: Callable[[], Awaitable[bool]],
) -> None:
    await waits()
    id = (await claim())["id"]
    activities = collection_of(documents.Step if kind_of(id) == documents.Step.kind else documents.Transform)
    await activities.update_one({"_id": id}, {"$set": {"attempt": attempt}})
    kept: list[Any] = []

    async def extended_before(*given: Any) -> Row | None:
        if not kept:
            # Its worker asked in time, and was answered late.
            clock.forward(-61)
            payload = await extend(id, attempt=attempt, leaseSeconds=600)
            clock.forward(61)
            assert payload["userErrors"] == []
            kept.append(await activities.find_one({"_id": id}))
        return await apply_transition(*given)

    monkeypatch.setattr(claiming, "apply_transition", extended_before)
    monkeypatch.setattr(lease, "apply_transition", extended_before)
    clock.forward(61)

    assert await taken() is False
    assert kept == [await activities.find_one({"_id": id})]
