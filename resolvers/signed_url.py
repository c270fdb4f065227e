"""Signed URLs: a way to the bytes of one object, until it expires. Made for one answer, never kept."""

import json
from datetime import datetime

from pydantic import BaseModel

from documents.base import JsonText
from documents.bucket import Signed
from resolvers.fetch import Row

MOST_SECONDS = 3600
"""How long a signed URL works at most."""


class SignedUrl(BaseModel):
    """A way to the bytes of one object, until it expires."""

    url: str
    method: str
    headers: JsonText
    expires_at: datetime


def signed_url(signed: Signed) -> Row:
    """A signed request as a row that SignedUrl shows."""
    headers = json.dumps(signed.headers)
    return {"url": signed.url, "method": signed.method, "headers": headers, "expires_at": signed.expires_at}
