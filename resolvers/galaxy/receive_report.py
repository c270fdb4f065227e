"""Reports uploaded by servers themselves: their bytes are stored as they come, then registered, or deleted again."""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import documents
from documents.base import new_id, now
from documents.mongo.transaction import Session
from documents.storage.bucket import Bucket
from documents.storage.upload import UploadPurpose, UploadStatus
from resolvers.galaxy.archive import Report, find_or_insert_archive
from resolvers.galaxy.report_metadata import Metadata, check_identifier, read_metadata
from resolvers.limits import MAX_REPORT_METADATA_BYTES, UPLOAD_LIFETIME
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.upload import FOLDERS, MAX_UPLOAD_BYTES
from resolvers.user_errors import InvalidInput, InvalidState, LimitExceeded
from resolvers.writes.transaction import Outcome, run_in_transaction

MAX_LISTED_REPORTS = 100_000
"""Reports of an instance that are listed to it. Further ones are still recognised when they are sent again."""
MAX_REPORT_BYTES = MAX_UPLOAD_BYTES[UploadPurpose.ARCHIVE]
MAX_IDENTIFIER_BYTES = 100
MEDIA_TYPE = "application/gzip"

Field = tuple[str, AsyncIterator[bytes]]
"""The name of a field of a report, and its bytes as they arrive, which must be read before the next field."""


async def reports_of(instance_id: str) -> dict[str, str]:
    """The SHA-256 of each report of the instance, by identifier."""
    match = {"instanceRef": instance_id, "current": True}
    projection = {"_id": 0, "identifier": 1, "sha256": 1}
    cursor = collection_of(documents.Archive).find(
        match, projection, sort=[("identifier", 1)], limit=MAX_LISTED_REPORTS
    )
    return {row["identifier"]: row["sha256"] async for row in cursor}


async def receive_report(instance_id: str, bucket: Bucket, fields: AsyncIterable[Field]) -> Row:
    """Store and register a report as an archive of the instance; returns it, or the existing one.

    The fields identifier, meta and data may come in any order. Bytes that no archive refers to in the end are deleted.
    Raises InvalidInput, LimitExceeded, errors of `fields`, and what find_or_insert_archive raises.
    """
    upload = await create_upload(instance_id, bucket)
    try:
        report = await _ReportForm(upload, bucket).read(fields)
        return await _register(instance_id, upload, report)
    finally:
        await asyncio.shield(_discard(upload, bucket))


class _ReportForm:
    """The three fields of a report, the bytes of which are stored as they arrive."""

    def __init__(self, upload: documents.Upload, bucket: Bucket) -> None:
        self._upload = upload
        self._bucket = bucket
        self._texts: dict[str, str] = {}
        self._stored: Row | None = None

    async def read(self, fields: AsyncIterable[Field]) -> Report:
        async for name, chunks in fields:
            if name in self._texts or (name == "data" and self._stored):
                raise InvalidInput(f"{name} occurs twice.")
            await self._read_field(name, chunks)
        if self._stored is None:
            raise InvalidInput("data is missing.")
        identifier, metadata = self._description()
        return Report(identifier, metadata, self._stored)

    async def _read_field(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        match name:
            case "identifier":
                self._texts[name] = await _read_text(name, chunks, MAX_IDENTIFIER_BYTES)
            case "meta":
                self._texts[name] = await _read_text(name, chunks, MAX_REPORT_METADATA_BYTES)
            case "data":
                if len(self._texts) == 2:
                    # A report that can be refused early is refused before its bytes are stored.
                    self._description()
                self._stored = await store_bytes(self._upload, self._bucket, chunks)
            case _:
                raise InvalidInput(f"{name[:50]!r} is not one of identifier, meta and data.")

    def _description(self) -> tuple[str, Metadata]:
        """The identifier and the metadata. Raises InvalidInput when one is missing or invalid."""
        for name in ("identifier", "meta"):
            if name not in self._texts:
                raise InvalidInput(f"{name} is missing.")
        identifier = check_identifier(self._texts["identifier"].strip(), "identifier")
        return identifier, read_metadata(self._texts["meta"], identifier, "meta")


async def _read_text(name: str, chunks: AsyncIterator[bytes], max_bytes: int) -> str:
    text = bytearray()
    async for chunk in chunks:
        text += chunk
        if len(text) > max_bytes:
            raise LimitExceeded(f"{name} has more than {max_bytes:,} bytes.")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} is not UTF-8.") from None


async def create_upload(instance_id: str, bucket: Bucket) -> documents.Upload:
    """Reserve an upload for the bytes of a report before they come, so that unregistered bytes are swept."""
    id = new_id(documents.Upload.kind)
    upload = documents.Upload(
        id=id,
        # No viewer has the key of an instance, so nobody else can register these bytes.
        viewer_key=instance_id,
        purpose=UploadPurpose.ARCHIVE,
        file_name="report.tar.gz",
        media_type=MEDIA_TYPE,
        size=0,
        sha256="",
        bucket=bucket.name,
        key=f"{bucket.prefix}{FOLDERS[UploadPurpose.ARCHIVE]}/{id}",
        expires_at=now() + UPLOAD_LIFETIME,
    )
    await upload.insert()
    return upload


async def store_bytes(upload: documents.Upload, bucket: Bucket, chunks: AsyncIterator[bytes]) -> Row:
    """Store the bytes; returns their size and hash. Raises LimitExceeded, and errors of `chunks`."""
    digest, size = hashlib.sha256(), 0

    async def measured_chunks() -> AsyncIterator[bytes]:
        nonlocal size
        async for chunk in chunks:
            size += len(chunk)
            if size > MAX_REPORT_BYTES:
                raise LimitExceeded(f"A report has at most {MAX_REPORT_BYTES:,} bytes.")
            digest.update(chunk)
            yield chunk

    stored = await bucket.write(upload.key, measured_chunks(), MEDIA_TYPE)
    return {"size": size, "sha256": digest.hexdigest(), "generation": stored.generation}


async def _register(instance_id: str, upload: documents.Upload, report: Report) -> Row:
    """Register a report as an archive; returns it, or the existing one. Raises what find_or_insert_archive raises."""
    facts = {name: report.upload[name] for name in ("size", "sha256", "generation")}
    row = await _uploads().find_one_and_update(
        {"_id": upload.id, "status": UploadStatus.WAITING.value},
        {"$set": {**facts, "status": UploadStatus.CHECKED.value}},
        return_document=True,
    )
    if row is None:
        raise InvalidState("Storing the report took too long.", current="EXPIRED", allowed=["UPLOADED"])
    checked = Report(report.identifier, report.metadata, row)

    async def work(session: Session) -> Outcome:
        archive, _ = await find_or_insert_archive(instance_id, checked, session)
        return {"archive": archive}

    archive: Row = (await run_in_transaction(work))["archive"]
    return archive


async def _discard(upload: documents.Upload, bucket: Bucket) -> None:
    """Delete bytes that no archive refers to."""
    deletion = await _uploads().delete_one({"_id": upload.id, "status": {"$ne": UploadStatus.REGISTERED.value}})
    if deletion.deleted_count:
        await bucket.delete(upload.key)


def _uploads() -> Any:
    return collection_of(documents.Upload)
