"""A transform ran: recording it with everything it made."""

from datetime import datetime
from typing import Any

import documents
from documents.activity import ActivityStatus
from documents.base import now
from documents.resource import CodeRepo
from documents.transform import TransformCause, TransformCauseKind, TransformDetails
from resolvers.checks import a_line, a_url
from resolvers.code_repo import a_page, frozen, read_code_repo
from resolvers.fetch import Row
from resolvers.ingest.distributions import read_distributions
from resolvers.ingest.info_json import MAX_BYTES, NOUN
from resolvers.ingest.json_text import read_object
from resolvers.ingest.publish import publish
from resolvers.ingest.publisher import find_or_make_organisation, find_or_make_resource
from resolvers.refusals import InvalidInput, Refusal
from resolvers.reporting import by_whom, why_not
from resolvers.resource import json_text
from resolvers.runs import Move, held, move
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, insert, require, visible


async def ingest_transform(
    session: Session,
    viewer: Viewer,
    *,
    organisation_url: str,
    landing_page: str,
    code_repo: dict[str, Any],
    distributions: list[dict[str, Any]],
    organisation_name: str | None = None,
    resource_title: str | None = None,
    info: Any = None,
    info_text: str | None = None,
    transform_id: str | None = None,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    validated: bool | None = None,
    logs: str | None = None,
    notebook: str | None = None,
    published_at: datetime | None = None,
) -> Outcome:
    """The resource, the transform and the versions that were published.

    Organisation, resource and datasets are found by their natural keys or made. `info_text` is the exact text of
    `info`, for those who have it; `published_at` is when the versions were published, now when absent. With
    `transform_id` that transform, which the viewer holds, is completed instead of a new one recorded. Raises Refusals
    with everything that is wrong with the documents, InvalidInput, NotFound, and InvalidState when it is not held.
    """
    require(viewer, Role.WORKER)
    code = read_code_repo(code_repo, "codeRepo")
    run = _run(code, started_at, ended_at, validated=validated, logs=logs, notebook=notebook)
    reported = documents.Resource(
        organisation_ref="",
        landing_page=a_page(landing_page, "landingPage"),
        title=a_line(resource_title, "resourceTitle"),
        code_repo=code,
        info=_info(info, info_text),
    )
    url, name = a_url(organisation_url, "organisationUrl"), a_line(organisation_name, "organisationName")
    made = read_distributions(distributions)

    organisation = await find_or_make_organisation(url, name, session)
    reported.organisation_ref = organisation["_id"]
    resource = await find_or_make_resource(reported, session)
    run.resource_ref = resource["_id"]
    published = await publish(resource["_id"], transform_id or run.id, made, published_at or now(), session)
    transform = await (_complete(transform_id, run, viewer, session) if transform_id else insert(run, session))
    return {"resource": resource, "transform": transform, "published": published}


def _run(
    code: CodeRepo,
    started_at: datetime | None,
    ended_at: datetime | None,
    *,
    validated: bool | None,
    logs: str | None,
    notebook: str | None,
) -> documents.Transform:
    ended_at = ended_at or now()
    if started_at and started_at > ended_at:
        raise InvalidInput(f"startedAt is {started_at.isoformat()}, after endedAt.", "startedAt")
    return documents.Transform(
        resource_ref="",
        status=ActivityStatus.SUCCEEDED,
        code=frozen(code),
        attempt=1,
        started_at=started_at,
        ended_at=ended_at,
        cause=TransformCause(kind=TransformCauseKind.INGESTED),
        details=TransformDetails(validated=validated, logs=a_url(logs, "logs"), notebook=a_url(notebook, "notebook")),
    )


async def _complete(id: str, run: documents.Transform, viewer: Viewer, session: Session) -> Row:
    """The claimed transform, ended as `run` ended. Its code, frozen when it was made, and its start stay."""
    claimed = {"_id": id, "resourceRef": run.resource_ref} | held(now()) | by_whom(viewer)
    ended = {"end_timestamp": run.ended_at, "details": run.details.model_dump(by_alias=True), "error": None}
    completed = await move(documents.Transform, Move.SUCCEED, claimed, ended, now(), session)
    if completed is None:
        raise await _why_not(id, run, viewer, session)
    return completed


async def _why_not(id: str, run: documents.Transform, viewer: Viewer, session: Session) -> Refusal:
    row = await visible(documents.Transform, id, viewer, session, "transformId")
    if row["resourceRef"] != run.resource_ref:
        return InvalidInput(f"{id} belongs to {row['resourceRef']}, not to {run.resource_ref}.", "transformId")
    return await why_not(id, viewer, session, "transformId")


def _info(value: Any, text: str | None) -> str | None:
    if text is None:
        return json_text(value, "info")
    read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    return text
