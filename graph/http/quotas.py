"""Quotas of requests and objects, where operations begin and end."""

from collections.abc import Awaitable, Callable
from math import ceil
from typing import TypeVar

from documents.base import now
from graph.errors import QUOTA_EXCEEDED, HTTPError
from resolvers.access.quota import QuotaExceeded, current_meter
from resolvers.access.quota_sizes import QuotaName
from resolvers.access.viewer import Viewer
from resolvers.reads.loaders import RequestLoader

T = TypeVar("T")


def is_metered() -> bool:
    """Whether there are quotas, so that use is counted."""
    return current_meter() is not None


async def count_use(loader: RequestLoader, answer: Callable[[], Awaitable[T]]) -> T:
    """The answer to a request, which is counted with its objects. Raises HTTPError 429 when a quota is used up."""
    await count_request(loader.viewer)
    try:
        return await answer()
    finally:
        await count_objects(loader)


async def count_request(viewer: Viewer) -> None:
    """Count a request. Raises HTTPError 429 when the viewer's requests or objects are used up."""
    if (meter := current_meter()) is None:
        return
    try:
        await meter.check(viewer, QuotaName.REQUESTS, QuotaName.OBJECTS)
    except QuotaExceeded as error:
        seconds = ceil((error.renewed_at - now()).total_seconds())
        headers = {"Retry-After": str(max(1, seconds))}
        raise HTTPError(429, error.message, QUOTA_EXCEEDED, headers) from error
    await meter.add(viewer, QuotaName.REQUESTS)


async def count_objects(loader: RequestLoader) -> None:
    """Count the objects of an answer."""
    if (meter := current_meter()) is not None and loader.budget.objects:
        await meter.add(loader.viewer, QuotaName.OBJECTS, loader.budget.objects)
