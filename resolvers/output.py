"""Outputs: what depends on who asks."""

from datetime import datetime

from pydantic import BaseModel

import documents
from documents.base import JsonText
from resolvers import fetch
from resolvers.fetch import WHOLE, Row
from resolvers.order import value_at
from resolvers.policies import owns
from resolvers.refusals import InvalidInput
from resolvers.viewer import Viewer

DEFAULT_SECONDS = 900
MOST_SECONDS = 3600


class SignedUrl(BaseModel):
    """A way to the bytes of one object, until it expires."""

    url: str
    method: str
    headers: JsonText
    expires_at: datetime


async def authorized_users(outputs: list[Row], viewer: Viewer) -> list[list[Row]]:
    """Who may read each output beside its owner: an empty list for those who may not change it."""
    lists: list[list[str]] = [
        (value_at(output, "access_control.authorized_users") or []) if owns(viewer, output["ownerRef"]) else []
        for output in outputs
    ]
    found = await fetch.by_ids(documents.User, (id for ids in lists for id in ids), WHOLE, viewer)
    return [[found[id] for id in ids if id in found] for ids in lists]


def download_urls(outputs: list[Row], viewer: Viewer, *, expires_in: int | None = DEFAULT_SECONDS) -> list[None]:
    """A signed URL for each output: None, since no bytes are in a bucket of this server's."""
    if expires_in is not None and not 1 <= expires_in <= MOST_SECONDS:
        raise InvalidInput(
            f"expiresIn must be between 1 and {MOST_SECONDS} seconds, not {expires_in}.", code="BAD_USER_INPUT"
        )
    return [None] * len(outputs)
