"""Writing resources."""

from typing import Any, TypedDict, Unpack

from beanie.odm.utils.encoder import Encoder
from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.catalogue.organisation import lock_organisation
from resolvers.file_events.code_repo import CodeRepoValues, check_page_url, read_code_repo, with_earlier_counts
from resolvers.reads.rows import Row
from resolvers.user_errors import AlreadyExists
from resolvers.validators import check_json, check_line
from resolvers.writes.store import get_readable, insert, update
from resolvers.writes.transaction import Outcome

MAX_INFO_BYTES = 1_000_000


class ResourceChanges(TypedDict, total=False):
    """The fields of a resource that can be changed."""

    landing_page: str | None
    title: str | None
    code_repo: CodeRepoValues | None


async def create_resource(
    session: Session,
    viewer: Viewer,
    *,
    organisation_id: str,
    landing_page: str | None = None,
    title: str | None = None,
    code_repo: CodeRepoValues | None = None,
    info: Any = None,
) -> Outcome:
    """Create a resource. Raises AlreadyExists when the organisation has one with this landing page and code."""
    require_role(viewer, Role.WORKER)
    organisation = await get_readable(documents.Organisation, organisation_id, viewer, session, "organisationId")
    resource = documents.Resource(
        organisation_ref=organisation["_id"],
        landing_page=check_page_url(landing_page, "landingPage") if landing_page is not None else None,
        title=check_line(title, "title"),
        code_repo=read_code_repo(code_repo, "codeRepo") if code_repo is not None else None,
        info=json_text(info, "info"),
    ).with_natural_key()
    await lock_organisation(organisation["_id"], session)
    try:
        return {"resource": await insert(resource, session)}
    except DuplicateKeyError as error:
        raise _already_exists(resource) from error


async def update_resource(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    **changes: Unpack[ResourceChanges],
) -> Outcome:
    """Change a resource's landing page, title or code, and return it."""
    require_role(viewer, Role.WORKER)
    row = await get_readable(documents.Resource, id, viewer, session, "id")
    before = documents.Resource.model_validate(row)
    after = _with_changes(before, changes).with_natural_key()
    try:
        return {"resource": await write_resource(row, after, session, expected_revision)}
    except DuplicateKeyError as error:
        raise _already_exists(after) from error


async def write_resource(
    row: Row, after: documents.Resource, session: Session, expected_revision: int | None = None
) -> Row:
    """Write the facts of `after` to the row and return it. Raises RevisionConflict and DuplicateKeyError."""
    changes = {
        "landing_page": after.landing_page,
        "title": after.title,
        "code_repo": Encoder(to_db=True).encode(after.code_repo),
        "info": after.info,
        "naturalKey": after.natural_key,
    }
    return await update(documents.Resource, row, changes, expected_revision, session)


def json_text(value: Any, *path: str) -> str | None:
    """The text of a JSON value, None for null. Raises InvalidInput when it cannot be encoded or is too large."""
    return None if value is None else check_json(value, *path, max_bytes=MAX_INFO_BYTES)


def _with_changes(before: documents.Resource, changes: ResourceChanges) -> documents.Resource:
    after: documents.Resource = before.model_copy()
    if "landing_page" in changes:
        page = changes["landing_page"]
        after.landing_page = check_page_url(page, "landingPage") if page is not None else None
    if "title" in changes:
        after.title = check_line(changes["title"], "title")
    if "code_repo" in changes:
        repository = changes["code_repo"]
        after.code_repo = read_code_repo(repository, "codeRepo") if repository is not None else None
        if after.code_repo is not None:
            after.code_repo.monitor_dirs = with_earlier_counts(after.code_repo.monitor_dirs, before.code_repo)
    return after


def _already_exists(resource: documents.Resource) -> AlreadyExists:
    return AlreadyExists(
        f"{resource.organisation_ref} already has a resource with landing page {resource.landing_page} and this code.",
        "landingPage",
    )
