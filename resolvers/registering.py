"""Registering outputs: files that a running step produced, their bytes here or elsewhere."""

from typing import Any

import documents
from documents.activity import ActivityStatus
from documents.base import now
from documents.output import AccessControl
from documents.upload import UploadPurpose
from resolvers.checks import a_file_name, a_line
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.output import known_users
from resolvers.policies import owns
from resolvers.refusals import AlreadyExists, Forbidden, InvalidInput, InvalidState
from resolvers.reporting import by_whom
from resolvers.resource import json_text
from resolvers.runs import held, standing, touch
from resolvers.uploaded import checked, use
from resolvers.uploads import a_media_type
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, insert, require, visible

LONGEST_KEY = 1_024


async def before_registering(viewer: Viewer, *, upload_id: str | None = None, **rest: Any) -> None:
    """Have the bytes of an upload read, which must not happen within a transaction."""
    require(viewer, Role.USER, Role.WORKER)
    if upload_id is not None:
        await checked(viewer, upload_id, UploadPurpose.OUTPUT, "uploadId")


async def register_output(
    session: Session,
    viewer: Viewer,
    *,
    step_id: str,
    output_type: str,
    file_name: str,
    attempt: int | None = None,
    file_type: str | None = None,
    metadata: Any = None,
    public: bool = False,
    authorized_user_ids: list[str] | None = None,
    **where: Any,
) -> Outcome:
    """An output of a running step. The same file with the same bytes, once more, is the output that there is.

    A worker registers while it holds the step, its owner and administrators while it runs. Raises NotFound, Forbidden,
    InvalidState and AlreadyExists.
    """
    require(viewer, Role.USER, Role.WORKER)
    step = await _running(step_id, attempt, viewer, session)
    users = await known_users(authorized_user_ids or [], session, "authorizedUserIds")
    output = documents.Output(
        step_ref=step["_id"],
        owner_ref=step["ownerRef"],
        runners=step.get("runners") or [],
        borrowers=step.get("borrowers") or [],
        attempt=step["attempt"],
        output_type=output_type,
        file_name=a_file_name(file_name, "fileName"),
        file_type=a_media_type(file_type, "fileType") if file_type is not None else None,
        metadata=json_text(metadata, "metadata"),
        access_control=AccessControl(public=public, authorized_users=users),
        bucket="",
        key="",
    )
    upload = await _place(output, viewer, session, **where)
    earlier = await _earlier(output, session)
    if earlier is not None:
        return {"output": earlier}
    if upload is not None:
        output.generation = await use(upload, output.id, session, "uploadId")
    return {"output": await insert(output, session)}


async def _running(id: str, attempt: int | None, viewer: Viewer, session: Session) -> Row:
    """The step, which cannot end before this transaction does."""
    step = await visible(documents.Step, id, viewer, session, "stepId")
    if viewer.role is Role.USER and not owns(viewer, step["ownerRef"]):
        raise Forbidden(f"{id} is not yours to add to.", "stepId")
    at = now()
    match: Filter = {"status": ActivityStatus.RUNNING.value} | ({} if attempt is None else {"attempt": attempt})
    if viewer.role is Role.WORKER:
        match |= held(at) | by_whom(viewer)
    # A write, not a look: a step that ends at the same time must meet it, or lose this transaction.
    running = await touch(id, session, match)
    if running is not None:
        return running
    stands = standing(step, at).value
    held_by = f", which {step['worker'] or 'somebody'} holds" if stands == ActivityStatus.RUNNING else ""
    taken = "outputs are taken of that attempt, while it runs, from who holds it or owns it"
    raise InvalidState(
        f"{id} is {stands} at attempt {step['attempt']}{held_by}; {taken}.",
        "stepId",
        current=stands,
        allowed=[ActivityStatus.RUNNING.value],
    )


async def _place(
    output: documents.Output,
    viewer: Viewer,
    session: Session,
    *,
    upload_id: str | None = None,
    bucket: str | None = None,
    key: str | None = None,
    file_size: int | None = None,
) -> Row | None:
    """Say on the output where its bytes lie; the upload that brought them, None when they lie elsewhere."""
    if (upload_id is None) == (bucket is None) or (bucket is None) != (key is None):
        raise InvalidInput("Give either uploadId, or bucket and key.", "uploadId")
    if file_size is not None and file_size < 0:
        raise InvalidInput(f"fileSize must not be negative, as {file_size} is.", "fileSize")
    if upload_id is None:
        output.bucket, output.key = a_line(bucket or "", "bucket"), _a_key(key or "")
        output.file_size = file_size
        return None
    upload = await visible(documents.Upload, upload_id, viewer, session, "uploadId")
    if file_size not in (None, upload["size"]):
        raise InvalidInput(f"fileSize is {file_size}, and {upload_id} has {upload['size']} bytes.", "fileSize")
    output.bucket, output.key = upload["bucket"], upload["key"]
    output.file_size, output.sha256 = upload["size"], upload["sha256"]
    output.file_type = output.file_type or upload["media_type"]
    return upload


async def _earlier(output: documents.Output, session: Session) -> Row | None:
    """What this attempt registered under the same name: None, or the same bytes. Raises AlreadyExists."""
    name = {
        "stepRef": output.step_ref,
        "attempt": output.attempt,
        "output_type": output.output_type.value,
        "file_name": output.file_name,
    }
    earlier: Row | None = await collection_of(documents.Output).find_one(name, session=session)
    if earlier is None or _bytes_of(earlier) == _bytes_of(output.model_dump(by_alias=True)):
        return earlier
    raise AlreadyExists(
        f"{output.step_ref} has another {output.file_name} of this attempt already, {earlier['_id']}.", "fileName"
    )


def _bytes_of(output: Row) -> tuple[Any, ...]:
    """What tells bytes from others: their hash where it is known, else where they lie."""
    if output.get("sha256"):
        return output["sha256"], output["file_size"]
    return output["s3_bucket"], output["s3_key"], output.get("file_size")


def _a_key(key: str) -> str:
    if not key or len(key.encode(errors="replace")) > LONGEST_KEY or not key.isprintable():
        raise InvalidInput(f"key must be one line of 1 to {LONGEST_KEY:,} bytes, not {key[:100]!r}.", "key")
    return key
