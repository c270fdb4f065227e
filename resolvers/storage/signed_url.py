"""Signed URLs: temporary access to the bytes of one object. Each is made for one response, and never stored."""

import json
from datetime import datetime

from pydantic import BaseModel

from documents.base import JsonText
from documents.storage.bucket import SignedRequest
from resolvers.reads.rows import Row


class SignedUrl(BaseModel):
    """Temporary access to the bytes of one object."""

    url: str
    method: str
    headers: JsonText
    expires_at: datetime


def signed_url(signed: SignedRequest) -> Row:
    """A signed request as a row from which SignedUrl is resolved."""
    headers = json.dumps(signed.headers)
    return {"url": signed.url, "method": signed.method, "headers": headers, "expires_at": signed.expires_at}
