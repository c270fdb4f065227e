"""`POST /events/storage`: notifications of a bucket about its objects, pushed by Pub/Sub.

Pub/Sub repeats a push until it is answered with a status below 300, and slows down after every other status. So a
message that can never be used is logged and acknowledged, and only one that may succeed later is refused.
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
from starlette.types import Receive

from documents.base import now
from documents.storage.file_url import BUCKET, is_directory, is_object_name, object_url
from graph.core.scalars import parse_datetime
from graph.errors import HTTPError
from graph.http.complete_request import RawHeaders
from graph.http.content_encoding import decompress, is_gzip
from graph.http.request import read_body
from graph.limits import MAX_BODY_BYTES
from graph.settings import Settings
from resolvers.access.oidc import Issuer
from resolvers.access.viewer import Unauthenticated
from resolvers.file_events.file_event import record_bucket_event
from resolvers.file_events.seen_files import FileEvent
from resolvers.outage_log import count_outage

PATH = "/events/storage"
GOOGLE = "https://accounts.google.com"
OBJECT_FINALIZE = "OBJECT_FINALIZE"
"""The event of a file that was created or changed. Others, such as deletions, are ignored."""

# https://cloud.google.com/storage/docs/pubsub-notifications names the attributes.
REQUIRED_ATTRIBUTES = ("bucketId", "objectId", "objectGeneration")
GENERATION = re.compile(r"\d{1,20}", re.ASCII)

log = structlog.stdlib.get_logger("graph.storage_events")


class InvalidNotification(Exception):
    """A message that is no notification of a bucket, and will not be when delivered again."""


@dataclass(frozen=True)
class StorageEvents:
    """Accepts pushes that carry a token of `issuer` for the service account with this email address."""

    issuer: Issuer
    account: str

    async def answer(self, request: Request) -> Response:
        """204 when the message needs no further delivery: its effects are committed, or it has none."""
        await self._authenticate(request.headers.get("authorization", ""))
        try:
            message = _message(await _content(dict(request.scope["headers"]), request.receive))
        except ClientDisconnect:
            return Response(status_code=400)
        except HTTPError as refusal:
            raise HTTPException(refusal.status, refusal.message, refusal.headers) from None
        try:
            event = file_event(message)
        except InvalidNotification as error:
            log.warning("a message names no file and is dropped", reason=str(error), message=_id(message))
            return Response(status_code=204)
        if event is not None:
            await self._record(event)
        return Response(status_code=204)

    async def _authenticate(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise HTTPException(
                401, "A push must carry a token of its service account.", {"WWW-Authenticate": "Bearer"}
            )
        try:
            claims = await self.issuer.claims(token.strip())
        except Unauthenticated as error:
            if error.temporary:
                raise _retry_later(error.message) from error
            raise HTTPException(401, error.message, {"WWW-Authenticate": "Bearer"}) from error
        if claims.get("email") != self.account or claims.get("email_verified") is not True:
            raise HTTPException(403, "This service account may not report files here.")

    async def _record(self, event: FileEvent) -> None:
        try:
            await record_bucket_event(event)
        except PyMongoError as error:
            count_outage("files were not recorded", error)
            raise _retry_later("The database cannot be used at the moment.") from error


def storage_event_routes(settings: Settings) -> Sequence[BaseRoute]:
    """The route for pushes, if the settings name their service account."""
    if settings.events_audience is None or settings.events_account is None:
        return []
    return [storage_event_route(Issuer(GOOGLE, settings.events_audience), settings.events_account)]


def storage_event_route(issuer: Issuer, account: str) -> BaseRoute:
    """The route for pushes with tokens of an issuer."""
    return Route(PATH, StorageEvents(issuer, account).answer, methods=["POST"])


def file_event(message: Mapping[str, Any]) -> FileEvent | None:
    """The created or changed file, None when a notification is about something else. Raises InvalidNotification."""
    attributes = message.get("attributes")
    if not isinstance(attributes, dict) or not isinstance(attributes.get("eventType"), str):
        raise InvalidNotification("It has no attribute eventType.")
    if attributes["eventType"] != OBJECT_FINALIZE:
        return None
    bucket, name, generation = map(attributes.get, REQUIRED_ATTRIBUTES)
    if not (isinstance(bucket, str) and isinstance(name, str) and isinstance(generation, str)):
        raise InvalidNotification(f"It lacks one of {', '.join(REQUIRED_ATTRIBUTES)}.")
    if not (BUCKET.fullmatch(bucket) and is_object_name(name) and GENERATION.fullmatch(generation)):
        raise InvalidNotification(f"{bucket[:100]!r}, {name[:100]!r}, {generation[:100]!r} do not name an object.")
    url = object_url(bucket, name)
    return None if is_directory(url) else FileEvent(url, generation, _time(attributes, message))


def _time(attributes: Mapping[str, Any], message: Mapping[str, Any]) -> datetime:
    """The time at which the object was written; a notification about a change always has it."""
    for time in (attributes.get("eventTime"), message.get("publishTime")):
        try:
            return parse_datetime(time)
        except GraphQLError:
            continue
    return now()


async def _content(headers: RawHeaders, receive: Receive) -> bytes:
    is_compressed = is_gzip(headers)
    body = await read_body(headers, receive)
    return decompress(body, MAX_BODY_BYTES) if is_compressed else body


def _message(body: bytes) -> dict[str, Any]:
    """The message in its envelope. Without one the subscription is configured wrongly, which can be corrected."""
    try:
        push = json.loads(body)
    except (ValueError, RecursionError):
        push = None
    message = push.get("message") if isinstance(push, dict) else None
    if not isinstance(message, dict):
        raise HTTPException(400, "The body is not a Pub/Sub push with a wrapped message.")
    return message


def _retry_later(reason: str) -> HTTPException:
    return HTTPException(503, reason, {"Retry-After": "5"})


def _id(message: Mapping[str, Any]) -> str:
    return str(message.get("messageId"))[:100]
