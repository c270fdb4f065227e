"""`POST /events/storage`: what a bucket tells of its objects, pushed by Pub/Sub.

A push is repeated until it is answered with a status below 300, and every other answer makes Pub/Sub push more slowly.
So a message that cannot ever be used is logged and acknowledged, and only what may succeed another time is refused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from graphql import GraphQLError
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from documents.base import now
from documents.file_url import BUCKET, is_directory, object_url
from graph.errors import HTTPRefusal
from graph.request import read_body
from graph.scalars import read_datetime
from graph.settings import Settings
from resolvers.file_events import LONGEST_FILE_URL, bucket_told
from resolvers.oidc import Issuer
from resolvers.sightings import FileEvent
from resolvers.viewer import Unauthenticated

PATH = "/events/storage"
GOOGLE = "https://accounts.google.com"
WRITTEN = "OBJECT_FINALIZE"
"""The one event of which a file comes to be or changes. Deletions, among others, make nothing due."""

# https://cloud.google.com/storage/docs/pubsub-notifications names the attributes.
NEEDED = ("bucketId", "objectId", "objectGeneration")
GENERATION = re.compile(r"\d{1,20}", re.ASCII)

log = structlog.stdlib.get_logger("graph.storage_events")


class Unusable(Exception):
    """A message that is no notification of a bucket, whenever it is delivered."""


@dataclass(frozen=True)
class StorageEvents:
    """Takes pushes that carry a token of `issuer` for the service account with this email address."""

    issuer: Issuer
    account: str

    async def answer(self, request: Request) -> Response:
        """204 when the message needs no other delivery: its effects are committed, it has none, or never can have."""
        await self._authenticate(request.headers.get("authorization", ""))
        try:
            message = _message(await read_body(dict(request.scope["headers"]), request.receive))
        except ClientDisconnect:
            return Response(status_code=400)
        except HTTPRefusal as refusal:
            raise HTTPException(refusal.status, refusal.message) from None
        try:
            event = file_event(message)
        except Unusable as error:
            log.warning("a message tells of no file and is dropped", reason=str(error), message=_id(message))
            return Response(status_code=204)
        if event is not None:
            await self._record(event)
        return Response(status_code=204)

    async def _authenticate(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise HTTPException(401, "Pushes carry a token of their service account.", {"WWW-Authenticate": "Bearer"})
        try:
            claims = await self.issuer.claims(token.strip())
        except Unauthenticated as error:
            if error.temporary:
                raise _later(error.message) from error
            raise HTTPException(401, error.message, {"WWW-Authenticate": "Bearer"}) from error
        if claims.get("email") != self.account or claims.get("email_verified") is not True:
            raise HTTPException(403, "This account does not tell of files here.")

    async def _record(self, event: FileEvent) -> None:
        try:
            await bucket_told(event)
        except PyMongoError as error:
            log.warning("a file was not recorded", url=event.url, reason=type(error).__name__)
            raise _later("The database cannot be used at the moment.") from error


def storage_event_routes(settings: Settings) -> Sequence[BaseRoute]:
    """The address for pushes, when it is set whose they are."""
    if settings.events_audience is None or settings.events_account is None:
        return []
    return [storage_event_route(Issuer(GOOGLE, settings.events_audience), settings.events_account)]


def storage_event_route(issuer: Issuer, account: str) -> BaseRoute:
    """The address for pushes with tokens of an issuer."""
    return Route(PATH, StorageEvents(issuer, account).answer, methods=["POST"])


def file_event(message: Mapping[str, Any]) -> FileEvent | None:
    """The file that came to be or changed, None when a notification tells of something else. Raises Unusable."""
    attributes = message.get("attributes")
    if not isinstance(attributes, dict) or not isinstance(attributes.get("eventType"), str):
        raise Unusable("It has no attribute eventType.")
    if attributes["eventType"] != WRITTEN:
        return None
    bucket, name, generation = (attributes.get(needed) for needed in NEEDED)
    if not (isinstance(bucket, str) and isinstance(name, str) and isinstance(generation, str)):
        raise Unusable(f"It lacks one of {', '.join(NEEDED)}.")
    url = object_url(bucket, name)
    if not (BUCKET.fullmatch(bucket) and name and GENERATION.fullmatch(generation)) or len(url) > LONGEST_FILE_URL:
        raise Unusable(f"{bucket[:100]!r}, {name[:100]!r}, {generation[:100]!r} are no object's.")
    return None if is_directory(url) else FileEvent(url, generation, _time(attributes, message))


def _time(attributes: Mapping[str, Any], message: Mapping[str, Any]) -> datetime:
    """When the object was written. A notification by itself tells of a change, so it always has a time."""
    for said in (attributes.get("eventTime"), message.get("publishTime")):
        try:
            return read_datetime(said)
        except GraphQLError:
            continue
    return now()


def _message(body: bytes) -> dict[str, Any]:
    """The message in its wrapping. Without it the subscription is set up wrongly, which can be mended."""
    try:
        push = json.loads(body)
    except (ValueError, RecursionError):
        push = None
    message = push.get("message") if isinstance(push, dict) else None
    if not isinstance(message, dict):
        raise HTTPException(400, "The body is no push of Pub/Sub with its message wrapped.")
    return message


def _later(reason: str) -> HTTPException:
    return HTTPException(503, reason, {"Retry-After": "5"})


def _id(message: Mapping[str, Any]) -> str:
    return str(message.get("messageId"))[:100]
