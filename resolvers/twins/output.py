"""Outputs: sharing them, and fields that depend on the viewer."""

from typing import Unpack

import documents
from documents.mongo.transaction import Session
from documents.storage.bucket import OCTET_STREAM, Download, current_bucket
from resolvers.access.policies import owns
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import MAX_AUTHORIZED_USERS, MAX_DOWNLOAD_URLS, MAX_SIGNED_URL_SECONDS
from resolvers.reads.order import value_at
from resolvers.reads.rows import Row
from resolvers.storage.signed_url import signed_url
from resolvers.twins.readers import ReaderChanges, new_readers
from resolvers.twins.twin_rights import readers_of
from resolvers.user_errors import Forbidden, InvalidInput, LimitExceeded
from resolvers.writes.store import get_readable, update
from resolvers.writes.transaction import Outcome

DEFAULT_URL_SECONDS = 900


async def download_urls(
    outputs: list[Row], viewer: Viewer, *, expires_in: int | None = DEFAULT_URL_SECONDS
) -> list[Row | None]:
    """A signed URL for each output: None when its bytes are not in this server's bucket, or not for the viewer."""
    seconds = DEFAULT_URL_SECONDS if expires_in is None else expires_in
    if not 1 <= seconds <= MAX_SIGNED_URL_SECONDS:
        raise InvalidInput(
            f"expiresIn must be between 1 and {MAX_SIGNED_URL_SECONDS} seconds, not {seconds}.", code="BAD_USER_INPUT"
        )
    bucket = current_bucket()
    if bucket is None:
        return [None] * len(outputs)
    # Only bytes that this server read have a generation: naming a bucket and a key proves no right to the bytes.
    downloads = {
        output["_id"]: Download(
            output["s3_key"], output["generation"], output["file_name"], output.get("file_type") or OCTET_STREAM
        )
        for output in outputs
        if output.get("generation") is not None and output["s3_bucket"] == bucket.name and is_readable(viewer, output)
    }
    if len(downloads) > MAX_DOWNLOAD_URLS:
        raise LimitExceeded(
            f"{len(downloads):,} download URLs are too many for one answer; at most {MAX_DOWNLOAD_URLS} are allowed."
        )
    signed = await bucket.sign_downloads(list(downloads.values()), seconds=seconds)
    urls = dict(zip(downloads, map(signed_url, signed), strict=True))
    return [urls.get(output["_id"]) for output in outputs]


def is_readable(viewer: Viewer, output: Row) -> bool:
    """Whether the viewer may read an output that was not fetched through the policy, such as one just written."""
    if value_at(output, "access_control.public") or owns(viewer, output["ownerRef"]):
        return True
    authorised: list[str] = value_at(output, "access_control.authorized_users") or []
    borrowers: list[Row] = output.get("borrowers") or []
    runners = [*(output.get("runners") or []), *(borrower["key"] for borrower in borrowers)]
    is_reader = viewer.user_id in authorised or viewer.user_id in readers_of(output)
    return is_reader or (viewer.role is Role.WORKER and viewer.key in runners)


async def update_output_access(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    public: bool | None = None,
    **people: Unpack[ReaderChanges],
) -> Outcome:
    """Change the readers of an output and return it; `people` are authorised and revoked as in `new_readers`."""
    require_role(viewer, Role.USER, Role.WORKER)
    row = await get_readable(documents.Output, id, viewer, session, "id")
    if not owns(viewer, row["ownerRef"]):
        raise Forbidden(f"{id} belongs to somebody else.", "id")
    before: list[str] = value_at(row, "access_control.authorized_users") or []
    users = await new_readers(before, session, **people)
    if len(users) > MAX_AUTHORIZED_USERS:
        raise LimitExceeded(f"{len(users):,} users are too many; at most {MAX_AUTHORIZED_USERS:,} are allowed.")
    is_public = bool(value_at(row, "access_control.public")) if public is None else public
    changes = {"access_control": {"public": is_public, "authorized_users": users}}
    return {"output": await update(documents.Output, row, changes, expected_revision, session)}
