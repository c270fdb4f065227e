"""Recording a run of a resource's code, with everything that it produced."""

from datetime import datetime, timedelta
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.catalogue.resource import CodeRepo
from documents.catalogue.transform import TransformCause, TransformCauseKind, TransformDetails
from documents.mongo.transaction import Session
from resolvers.access.roles import check_bound, require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.attempts import running_attempt
from resolvers.activities.lease import valid_lease_filter
from resolvers.activities.report_access import check_attempt, explain_refusal, reportable_filter
from resolvers.activities.state_machine import Transition, apply_transition
from resolvers.catalogue.find_or_create import find_or_create_organisation, find_or_create_resource
from resolvers.catalogue.publish import publish
from resolvers.catalogue.published_tables import Moment
from resolvers.catalogue.read_distributions import DistributionValues, read_distributions
from resolvers.catalogue.resource import json_text
from resolvers.catalogue.run_inputs import RunInputs, run_inputs
from resolvers.file_events.code_repo import CodeRepoValues, check_page_url, code_references, read_code_repo
from resolvers.filters import Filter
from resolvers.formats.info_json import MAX_BYTES, NOUN
from resolvers.formats.json_text import read_object
from resolvers.provenance.used import UsedValues
from resolvers.reads.rows import Row
from resolvers.user_errors import InvalidInput, Refusal
from resolvers.validators import check_line, check_url
from resolvers.writes.store import get_readable, insert
from resolvers.writes.transaction import Outcome, require_lock

CLOCK_ALLOWANCE = timedelta(minutes=5)
"""How far a worker's clock may be ahead of this server's."""


async def ingest_transform(
    session: Session,
    viewer: Viewer,
    *,
    organisation_url: str,
    landing_page: str,
    code_repo: CodeRepoValues,
    distributions: list[DistributionValues],
    organisation_name: str | None = None,
    resource_title: str | None = None,
    info: Any = None,
    info_text: str | None = None,
    transform_id: str | None = None,
    attempt: int | None = None,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    validated: bool | None = None,
    logs: str | None = None,
    notebook: str | None = None,
    used: list[UsedValues] | None = None,
    published_at: datetime | None = None,
    resource_id: str | None = None,
) -> Outcome:
    """Record a run; returns the resource, the transform and the published versions.

    Organisation, resource and datasets are found by their natural keys or created. `info_text` is the exact text of
    `info`, if the caller has it; `published_at` is when the versions were published, now when absent; `resource_id`
    selects a resource, which is then left unchanged, instead of the natural keys; `used` is None where nobody knows
    what the run read. With `transform_id` that transform, which the viewer holds, is completed instead of a new one
    recorded; with `attempt` only while it is at that attempt, and without only if the viewer's credentials held no
    earlier one. Raises Refusals with everything that is wrong with the documents, or with a VersionConflict for each
    that is not the next version, InvalidInput, NotFound, and InvalidState when the transform is not held.
    """
    require_role(viewer, Role.WORKER, allow_bound=True)
    await require_lock(organisation_url, landing_page)
    if attempt is not None and transform_id is None:
        raise InvalidInput("attempt needs transformId: it is the attempt of a claimed transform.", "attempt")
    code = read_code_repo(code_repo, "codeRepo")
    run = _new_transform(code, started_at, ended_at, validated=validated, logs=logs, notebook=notebook)
    reported = documents.Resource(
        organisation_ref="",
        landing_page=check_page_url(landing_page, "landingPage"),
        title=check_line(resource_title, "resourceTitle"),
        code_repo=code,
        info=_info_text(info, info_text),
    )
    url, name = check_url(organisation_url, "organisationUrl"), check_line(organisation_name, "organisationName")
    reported_documents = read_distributions(distributions)

    if resource_id:
        resource = await get_readable(documents.Resource, resource_id, viewer, session)
    else:
        reported.organisation_ref = (await find_or_create_organisation(url, name, session))["_id"]
        resource = await find_or_create_resource(reported, session)
    check_bound(viewer, resource)
    run.resource_ref = resource["_id"]
    moment = Moment(resource["_id"], published_at or now(), viewer, session)
    inputs = await run_inputs(used, reported.info or resource["info"], reported_documents, moment)
    versions = await publish(resource["_id"], transform_id or run.id, reported_documents, moment.at, session)
    if transform_id:
        transform = await _complete(transform_id, attempt, run, inputs, viewer, session)
    else:
        run.code = inputs.with_tools(run.code)
        run.used = await inputs.record(viewer, session)
        transform = await insert(run, session)
    return {"resource": resource, "transform": transform, "published": versions}


def _new_transform(
    code: CodeRepo,
    started_at: datetime | None,
    ended_at: datetime | None,
    *,
    validated: bool | None,
    logs: str | None,
    notebook: str | None,
) -> documents.Transform:
    ended_at = ended_at or _end_of_run(started_at, now())
    if started_at and started_at > ended_at:
        raise InvalidInput(f"startedAt is {started_at.isoformat()}, after endedAt.", "startedAt")
    return documents.Transform(
        resource_ref="",
        status=ActivityStatus.SUCCEEDED,
        code=code_references(code),
        attempt=1,
        started_at=started_at,
        ended_at=ended_at,
        cause=TransformCause(kind=TransformCauseKind.INGESTED),
        details=TransformDetails(
            validated=validated, logs=check_url(logs, "logs"), notebook=check_url(notebook, "notebook")
        ),
    )


def _end_of_run(started_at: datetime | None, at: datetime) -> datetime:
    """The end of a run that gives only its start: now, or its start where the worker's clock is ahead."""
    if started_at is None or started_at <= at:
        return at
    if started_at - at > CLOCK_ALLOWANCE:
        raise InvalidInput(
            f"startedAt is {started_at.isoformat()}, and it is {at.isoformat()} here: clocks may differ by "
            f"{CLOCK_ALLOWANCE.seconds // 60} minutes.",
            "startedAt",
        )
    return started_at


async def _complete(
    id: str,
    attempt: int | None,
    run: documents.Transform,
    inputs: RunInputs,
    viewer: Viewer,
    session: Session,
) -> Row:
    """Complete the claimed transform with the run's end and what it used. Its code, frozen at its creation, and its
    start stay; the tools that it used are added."""
    fence: Filter = {} if attempt is None else {"attempt": attempt}
    claimed = (
        {"_id": id, "resourceRef": run.resource_ref} | fence | valid_lease_filter(now()) | reportable_filter(viewer)
    )
    ended = {"end_timestamp": run.ended_at, "details": run.details.model_dump(by_alias=True), "error": None}
    if (row := await running_attempt(documents.Transform, claimed, session)) is not None:
        ended |= await inputs.record_at_end(row, viewer, session)
    transform = await apply_transition(documents.Transform, Transition.SUCCEED, claimed, ended, now(), session)
    if transform is None:
        raise await _explain_refusal(id, run, viewer, session)
    check_attempt(attempt, transform, viewer)
    return transform


async def _explain_refusal(id: str, run: documents.Transform, viewer: Viewer, session: Session) -> Refusal:
    row = await get_readable(documents.Transform, id, viewer, session, "transformId")
    if row["resourceRef"] != run.resource_ref:
        return InvalidInput(f"{id} belongs to {row['resourceRef']}, not to {run.resource_ref}.", "transformId")
    return await explain_refusal(id, viewer, session, "transformId")


def _info_text(value: Any, text: str | None) -> str | None:
    if text is None:
        return json_text(value, "info")
    read_object(text, noun=NOUN, max_bytes=MAX_BYTES)
    return text
