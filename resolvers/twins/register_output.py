"""Registering outputs: files that a running step produced, with bytes in this server's bucket or elsewhere."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.mongo.transaction import Session
from documents.storage.upload import UploadPurpose
from documents.twins.output import AccessControl, OutputType
from resolvers.access.policies import owns
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.lease import valid_lease_filter
from resolvers.activities.report_access import check_attempt, reportable_filter
from resolvers.activities.state_machine import effective_status, lock_step
from resolvers.catalogue.resource import json_text
from resolvers.filters import Filter
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.upload import check_media_type
from resolvers.storage.verify_upload import consume_upload, verify_upload
from resolvers.twins.named_users import find_user_ids
from resolvers.twins.twin_rights import readers_of
from resolvers.user_errors import AlreadyExists, Forbidden, InvalidInput, InvalidState
from resolvers.validators import check_file_name, check_line
from resolvers.writes.store import get_readable, insert
from resolvers.writes.transaction import Outcome

MAX_KEY_BYTES = 1_024


class BytesLocation(TypedDict):
    """The upload that brought an output's bytes, or their place in a bucket."""

    upload_id: str | None
    bucket: str | None
    key: str | None
    file_size: int | None


async def verify_output_upload(viewer: Viewer, *, upload_id: str | None) -> None:
    """Verify the bytes of an upload, which must not happen within a transaction."""
    require_role(viewer, Role.USER, Role.WORKER)
    if upload_id is not None:
        await verify_upload(viewer, upload_id, UploadPurpose.OUTPUT, "uploadId")


async def register_output(
    session: Session,
    viewer: Viewer,
    *,
    step_id: str,
    output_type: OutputType,
    file_name: str,
    type: OutputType | None = None,
    attempt: int | None = None,
    file_type: str | None = None,
    metadata: Any = None,
    public: bool = False,
    authorized_user_ids: Sequence[str] | None = None,
    authorized_user_names: Sequence[str] | None = None,
    **location: Unpack[BytesLocation],
) -> Outcome:
    """Register an output of a running step and return it. Repeating the same file with the same bytes returns the
    existing output.

    `output_type` is the older name of `type`, and has a default.

    A worker may register while it holds the step, its owner and administrators while it runs. A worker whose token held
    an earlier attempt must give the attempt. Raises NotFound, Forbidden, InvalidInput, InvalidState and AlreadyExists.
    """
    require_role(viewer, Role.USER, Role.WORKER)
    step = await _lock_running_step(step_id, attempt, viewer, session)
    users = await find_user_ids(authorized_user_ids, authorized_user_names, session, "authorizedUser")
    output = documents.Output(
        step_ref=step["_id"],
        owner_ref=step["ownerRef"],
        reader_refs=readers_of(step),
        runners=step.get("runners") or [],
        borrowers=step.get("borrowers") or [],
        attempt=step["attempt"],
        output_type=_check_type(type, output_type),
        file_name=check_file_name(file_name, "fileName"),
        file_type=check_media_type(file_type, "fileType") if file_type is not None else None,
        metadata=json_text(metadata, "metadata"),
        access_control=AccessControl(public=public, authorized_users=users),
        bucket="",
        key="",
    )
    upload = await _set_location(output, viewer, session, **location)
    earlier = await _registered_before(output, session)
    if earlier is not None:
        return {"output": earlier}
    await _check_no_folder_clash(output, session)
    if upload is not None:
        output.generation = await consume_upload(upload, output.id, session, "uploadId")
    return {"output": await insert(output, session)}


def _check_type(type: OutputType | None, output_type: OutputType) -> OutputType:
    if type is None:
        return output_type
    if output_type not in (type, OutputType.OUTPUT):
        raise InvalidInput(f"type is {type.name} and outputType {output_type.name}: give type alone.", "type")
    return type


async def _lock_running_step(id: str, attempt: int | None, viewer: Viewer, session: Session) -> Row:
    """Lock the running step, so that it cannot end before this transaction does, and return it."""
    step = await get_readable(documents.Step, id, viewer, session, "stepId")
    if viewer.role is Role.USER and not owns(viewer, step["ownerRef"]):
        raise Forbidden(f"{id} belongs to somebody else.", "stepId")
    at = now()
    match: Filter = {"status": ActivityStatus.RUNNING.value} | ({} if attempt is None else {"attempt": attempt})
    if viewer.role is Role.WORKER:
        match |= valid_lease_filter(at) | reportable_filter(viewer)
    running = await lock_step(id, session, match)
    if running is not None:
        check_attempt(attempt, running, viewer)
        return running
    status = effective_status(step, at).value
    holder = f", which {step['worker'] or 'somebody'} holds" if status == ActivityStatus.RUNNING else ""
    raise InvalidState(
        f"{id} is {status} at attempt {step['attempt']}{holder}; only its worker or owner may add outputs, while that "
        "attempt runs.",
        "stepId",
        current=status,
        allowed=[ActivityStatus.RUNNING.value],
    )


async def _set_location(
    output: documents.Output,
    viewer: Viewer,
    session: Session,
    *,
    upload_id: str | None,
    bucket: str | None,
    key: str | None,
    file_size: int | None,
) -> Row | None:
    """Set the location of an output's bytes; returns the upload that brought them, None when they are elsewhere."""
    if (upload_id is None) == (bucket is None) or (bucket is None) != (key is None):
        raise InvalidInput("Give either uploadId, or bucket and key.", "uploadId")
    if file_size is not None and file_size < 0:
        raise InvalidInput(f"fileSize must not be negative, but is {file_size}.", "fileSize")
    if upload_id is None:
        output.bucket, output.key = check_line(bucket or "", "bucket"), _check_key(key or "")
        output.file_size = file_size
        return None
    upload = await get_readable(documents.Upload, upload_id, viewer, session, "uploadId")
    if file_size not in (None, upload["size"]):
        raise InvalidInput(f"fileSize is {file_size}, but {upload_id} has {upload['size']} bytes.", "fileSize")
    output.bucket, output.key = upload["bucket"], upload["key"]
    output.file_size, output.sha256 = upload["size"], upload["sha256"]
    output.file_type = output.file_type or upload["media_type"]
    return upload


async def _registered_before(output: documents.Output, session: Session) -> Row | None:
    """The output with the same name and bytes that this attempt registered earlier, None if there is none. Raises
    AlreadyExists for other bytes."""
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
        f"{output.step_ref} has another {output.file_name} of this attempt already: {earlier['_id']}.", "fileName"
    )


async def _check_no_folder_clash(output: documents.Output, session: Session) -> None:
    """Raise AlreadyExists when no folder could hold the output and earlier ones, as the next step's worker needs."""
    name = output.file_name
    folders = [name[:position] for position, character in enumerate(name) if character == "/"]
    # Names that begin with this one and a slash lie between these two: 0 is the character after the slash.
    below = {"file_name": {"$gt": f"{name}/", "$lt": f"{name}0"}}
    match = {
        "stepRef": output.step_ref,
        "attempt": output.attempt,
        "output_type": output.output_type.value,
        "$or": [{"file_name": {"$in": folders}}, below],
    }
    other = await collection_of(documents.Output).find_one(match, {"file_name": 1}, session=session)
    if other is not None:
        raise AlreadyExists(
            f"{name} cannot be a file beside {other['file_name']}, which this attempt has already, {other['_id']}: "
            "one of them would be the folder of the other.",
            "fileName",
        )


def _bytes_of(output: Row) -> tuple[Any, ...]:
    """The identity of an output's bytes: their hash where it is known, else their location."""
    if output.get("sha256"):
        return output["sha256"], output["file_size"]
    return output["s3_bucket"], output["s3_key"], output.get("file_size")


def _check_key(key: str) -> str:
    if not key or len(key.encode(errors="replace")) > MAX_KEY_BYTES or not key.isprintable():
        raise InvalidInput(f"key must be one line of 1 to {MAX_KEY_BYTES:,} bytes, not {key[:100]!r}.", "key")
    return key
