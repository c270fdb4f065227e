"""Outputs: sharing them, and what depends on who asks."""

import documents
from documents.bucket import OCTETS, Download, the_bucket
from resolvers import fetch
from resolvers.fetch import WHOLE, Row, collection_of
from resolvers.order import value_at
from resolvers.policies import owns
from resolvers.refusals import Forbidden, InvalidInput, LimitExceeded, NotFound
from resolvers.signed_url import MOST_SECONDS, signed_url
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, require, update, visible

DEFAULT_SECONDS = 900
MOST_AUTHORIZED = 1_000
"""Users that one output may name as its readers."""
MOST_URLS = 500
"""Signed URLs in one answer: each may take a call to Google."""


async def authorized_users(outputs: list[Row], viewer: Viewer) -> list[list[Row]]:
    """Who may read each output beside its owner: an empty list for those who may not change it."""
    lists: list[list[str]] = [
        (value_at(output, "access_control.authorized_users") or []) if owns(viewer, output["ownerRef"]) else []
        for output in outputs
    ]
    found = await fetch.by_ids(documents.User, (id for ids in lists for id in ids), WHOLE, viewer)
    return [[found[id] for id in ids if id in found] for ids in lists]


async def download_urls(
    outputs: list[Row], viewer: Viewer, *, expires_in: int | None = DEFAULT_SECONDS
) -> list[Row | None]:
    """For each output a signed URL: None when its bytes are not in this server's bucket, or not for the viewer."""
    seconds = DEFAULT_SECONDS if expires_in is None else expires_in
    if not 1 <= seconds <= MOST_SECONDS:
        raise InvalidInput(
            f"expiresIn must be between 1 and {MOST_SECONDS} seconds, not {seconds}.", code="BAD_USER_INPUT"
        )
    bucket = the_bucket()
    if bucket is None:
        return [None] * len(outputs)
    # Only what was read here has a generation: whoever names a bucket and a key proves no right to the bytes.
    wanted = {
        output["_id"]: Download(
            output["s3_key"], output["generation"], output["file_name"], output.get("file_type") or OCTETS
        )
        for output in outputs
        if output.get("generation") is not None and output["s3_bucket"] == bucket.name and may_read(viewer, output)
    }
    if len(wanted) > MOST_URLS:
        raise LimitExceeded(f"{len(wanted):,} download URLs are too many for one answer; at most {MOST_URLS} are made.")
    signed = await bucket.sign_downloads(list(wanted.values()), seconds=seconds)
    urls = dict(zip(wanted, map(signed_url, signed), strict=True))
    return [urls.get(output["_id"]) for output in outputs]


def may_read(viewer: Viewer, output: Row) -> bool:
    """What the policy of outputs says, of one that was come by in another way: by writing it."""
    if value_at(output, "access_control.public") or owns(viewer, output["ownerRef"]):
        return True
    authorised: list[str] = value_at(output, "access_control.authorized_users") or []
    borrowers: list[Row] = output.get("borrowers") or []
    running = [*(output.get("runners") or []), *(one["key"] for one in borrowers)]
    return viewer.user_id in authorised or (viewer.role is Role.WORKER and viewer.key in running)


async def update_output_access(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    public: bool | None = None,
    authorize_user_ids: list[str] | None = None,
    revoke_user_ids: list[str] | None = None,
) -> Outcome:
    """The output with other readers. Who is authorised and revoked in one call is revoked."""
    require(viewer, Role.USER, Role.WORKER)
    row = await visible(documents.Output, id, viewer, session, "id")
    if not owns(viewer, row["ownerRef"]):
        raise Forbidden(f"{id} is not yours to share.", "id")
    before: list[str] = value_at(row, "access_control.authorized_users") or []
    added = await known_users(authorize_user_ids or [], session, "authorizeUserIds")
    revoked = set(revoke_user_ids or [])
    users = [one for one in dict.fromkeys([*before, *added]) if one not in revoked]
    if len(users) > MOST_AUTHORIZED:
        raise LimitExceeded(f"{len(users):,} users are too many; at most {MOST_AUTHORIZED:,} are named.")
    is_public = bool(value_at(row, "access_control.public")) if public is None else public
    changes = {"access_control": {"public": is_public, "authorized_users": users}}
    return {"output": await update(documents.Output, row, changes, expected_revision, session)}


async def known_users(ids: list[str], session: Session, name: str) -> list[str]:
    """The ids without repeats. Raises NotFound for one that is no user's."""
    if len(ids) > MOST_AUTHORIZED:
        raise LimitExceeded(f"{len(ids):,} users are too many; at most {MOST_AUTHORIZED:,} are named.", name)
    cursor = collection_of(documents.User).find({"_id": {"$in": ids}}, {"_id": 1}, session=session)
    known = {row["_id"] async for row in cursor}
    for number, id in enumerate(ids):
        if id not in known:
            raise NotFound("User", id, name, str(number))
    return list(dict.fromkeys(ids))
