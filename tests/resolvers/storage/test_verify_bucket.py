"""The bucket has what documents name, or it is said what it lacks: the same for a folder and for Cloud Storage."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

import documents
from documents.base import now
from documents.mongo.database import Database
from documents.storage import folder_bucket, google_bucket
from documents.storage.bucket import Bucket
from documents.storage.folder_bucket import FolderBucket
from documents.storage.google_bucket import GoogleBucket
from documents.storage.upload import UploadPurpose, UploadStatus
from resolvers.storage import object_references
from resolvers.storage.verify_bucket import BucketVerification, Finding, Problem
from tests.support.builders import a_step, a_twin, a_user, an_archive, an_execution, an_instance, an_output, keep
from tests.support.storage import LAB, Gate

pytestmark = pytest.mark.usefixtures("database")
CONTENT = b"a,b\n1,2\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["folder", "google"])
async def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bucket]:
    """A bucket that holds nothing yet, and is listed two objects at a time."""
    for module in (folder_bucket, google_bucket):
        monkeypatch.setattr(module, "LIST_PAGE_SIZE", 2)
    monkeypatch.setattr(object_references, "PAGE_SIZE", 2)
    if request.param == "folder":
        yield FolderBucket(tmp_path / "bucket")
        return
    gate: Gate = request.getfixturevalue("gate")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gate.emulator)
    bucket = GoogleBucket(LAB, f"verified-{uuid4().hex}/")
    yield bucket
    await bucket.close()


async def a_stored_object(bucket: Bucket, folder: str, content: bytes = CONTENT) -> tuple[str, int]:
    """Key and generation of a new object."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    key = f"{bucket.prefix}{folder}/upload_{uuid4().hex}"
    return key, (await bucket.write(key, chunks())).generation


async def a_stored_output(bucket: Bucket, step: documents.Step, content: bytes = CONTENT) -> documents.Output:
    """An output of eight bytes by its document, and of these bytes in the bucket."""
    key, generation = await a_stored_object(bucket, "outputs", content)
    return an_output(step, bucket=bucket.name, key=key, generation=generation, file_size=len(CONTENT), sha256=SHA256)


async def a_stored_archive(bucket: Bucket, instance: documents.Instance) -> documents.Archive:
    key, generation = await a_stored_object(bucket, "archives")
    facts = {"size_bytes": len(CONTENT), "sha256": SHA256}
    return an_archive(instance, bucket=bucket.name, key=key, generation=generation, **facts)


async def a_kept_step() -> documents.Step:
    twin = a_twin(a_user())
    execution = an_execution(twin)
    step = a_step(execution)
    await keep(twin, execution, step)
    return step


def an_upload(bucket: Bucket, key: str, status: UploadStatus, generation: int | None = None) -> documents.Upload:
    return documents.Upload(
        viewer_key="user_1",
        purpose=UploadPurpose.OUTPUT,
        file_name="a.csv",
        media_type="text/csv",
        size=len(CONTENT),
        sha256=SHA256,
        bucket=bucket.name,
        key=key,
        status=status,
        generation=generation,
        expires_at=now() + timedelta(days=1),
    )


async def findings(verification: BucketVerification) -> list[Finding]:
    return sorted([finding async for finding in verification.findings()], key=lambda one: (one.problem, one.key))


async def test_nothing_is_found_where_all_objects_are_as_they_were_registered(bucket: Bucket) -> None:
    step, instance = await a_kept_step(), an_instance()
    outputs = [await a_stored_output(bucket, step) for _ in range(5)]
    elsewhere = an_output(step, bucket="of-others", key="data.csv")
    await keep(instance, *outputs, elsewhere, await a_stored_archive(bucket, instance))
    verification = BucketVerification(bucket, hashes=True, unreferenced=True)

    found = await findings(verification)

    assert found == []
    assert (verification.references, verification.objects, verification.bytes_read) == (6, 6, 6 * len(CONTENT))


async def test_each_object_that_is_missing_or_differs_is_named_with_its_document(bucket: Bucket) -> None:
    step, instance = await a_kept_step(), an_instance()
    gone, longer, other, whole = [
        await a_stored_output(bucket, step, content)
        for content in (CONTENT, b"longer than that", b"2,1\nb,a\n", CONTENT)
    ]
    archive = await a_stored_archive(bucket, instance)
    await keep(instance, gone, longer, other, whole, archive)
    await bucket.delete(gone.key)
    await bucket.delete(archive.key)

    by_size = await findings(BucketVerification(bucket))
    by_bytes = await findings(BucketVerification(bucket, hashes=True))

    lacks = "There is no such object in the bucket."
    missing = [Finding(Problem.MISSING, one.key, one.id, lacks) for one in (archive, gone)]
    wrong_size = Finding(Problem.WRONG_SIZE, longer.key, longer.id, "It has 16 bytes, not the 8 that were registered.")
    actual = hashlib.sha256(b"2,1\nb,a\n").hexdigest()
    wrong_bytes = Finding(Problem.WRONG_BYTES, other.key, other.id, f"Its SHA-256 is {actual}, not {SHA256}.")
    assert by_size == [*missing, wrong_size]
    assert by_bytes == [*missing, wrong_bytes, wrong_size]


async def test_objects_that_no_document_names_are_listed_unless_they_are_new_or_wait_to_be_registered(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, checked, swept = [(await a_stored_object(bucket, "outputs"))[0] for _ in range(3)]
    orphan, _ = await a_stored_object(bucket, "archives")
    await a_stored_object(bucket, "jobs")
    await keep(
        an_upload(bucket, waits, UploadStatus.WAITING),
        an_upload(bucket, checked, UploadStatus.CHECKED, 1),
        an_upload(bucket, swept, UploadStatus.SWEPT),
        an_upload(bucket, f"{bucket.prefix}outputs/upload_never", UploadStatus.WAITING),
    )

    silent = await findings(BucketVerification(bucket))
    named = await findings(BucketVerification(bucket, unreferenced=True))
    monkeypatch.setattr("resolvers.storage.verify_bucket.now", lambda: now() - timedelta(days=1))
    since_yesterday = await findings(BucketVerification(bucket, unreferenced=True))

    moved = [(Problem.MOVED, checked)]
    assert [(one.problem, one.key) for one in silent] == moved
    unreferenced = sorted((Problem.UNREFERENCED, key) for key in (orphan, swept))
    assert [(one.problem, one.key) for one in named] == [*moved, *unreferenced]
    assert [(one.problem, one.key) for one in since_yesterday] == moved


async def test_objects_that_were_copied_are_adopted_if_their_bytes_are_the_same(bucket: Bucket) -> None:
    step, instance = await a_kept_step(), an_instance()
    output, tampered = await a_stored_output(bucket, step), await a_stored_output(bucket, step, b"2,1\nb,a\n")
    archive, (key, generation) = await a_stored_archive(bucket, instance), await a_stored_object(bucket, "outputs")
    upload = an_upload(bucket, key, UploadStatus.CHECKED, 1)
    copied = [(one, one.generation) for one in (output, tampered, archive)]
    for document, _ in copied:
        document.bucket, document.generation = "the-old-bucket", 1
    await keep(instance, output, tampered, archive, upload)

    before = await findings(BucketVerification(bucket))
    adoption = BucketVerification(bucket, adopt=True)
    refused = await findings(adoption)
    after = await findings(BucketVerification(bucket, hashes=True))

    assert {(one.problem, one.document) for one in before} == {
        (Problem.MOVED, one.id) for one in (output, tampered, archive, upload)
    }
    assert [(one.problem, one.document) for one in refused] == [(Problem.WRONG_BYTES, tampered.id)]
    assert adoption.adopted == 3
    assert after == refused
    kept = [await documents.Output.get(output.id), await documents.Archive.get(archive.id)]
    assert [(one.bucket, one.generation) for one in kept if one] == [
        (bucket.name, copied[0][1]),
        (bucket.name, copied[2][1]),
    ]
    assert [row["generation"] for row in await documents.Upload.get_pymongo_collection().find().to_list()] == [
        generation
    ]


async def test_documents_are_read_and_nothing_is_written_unless_objects_are_adopted(
    database: Database, bucket: Bucket
) -> None:
    output = await a_stored_output(bucket, await a_kept_step())
    output.generation = 1
    await keep(output)
    before = (await database.command("dbHash"))["md5"]

    await findings(BucketVerification(bucket, hashes=True, unreferenced=True))
    untouched = (await database.command("dbHash"))["md5"]
    await findings(BucketVerification(bucket, adopt=True))

    assert untouched == before
    assert (await database.command("dbHash"))["md5"] != before


async def test_files_that_somebody_left_in_the_folder_are_no_objects(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path / "bucket")
    await keep(await a_stored_output(bucket, await a_kept_step()))
    (bucket.folder / "objects/outputs/.DS_Store").write_bytes(b"left")

    found = await findings(BucketVerification(bucket, unreferenced=True))

    assert found == []


async def test_objects_under_a_name_of_an_earlier_prefix_are_looked_up(bucket: Bucket) -> None:
    step = await a_kept_step()
    output, gone = await a_stored_output(bucket, step), await a_stored_output(bucket, step)
    gone.key = "earlier/outputs/gone"
    spoilt = await a_stored_output(bucket, step)
    spoilt.key = "../outputs"
    bucket.prefix = "another/"
    await keep(output, gone, spoilt)

    found = await findings(BucketVerification(bucket))

    assert {(one.problem, one.document) for one in found} == {(Problem.MISSING, one.id) for one in (gone, spoilt)}


async def test_progress_is_reported_for_documents_and_objects(bucket: Bucket) -> None:
    step = await a_kept_step()
    await keep(*[await a_stored_output(bucket, step) for _ in range(3)])
    reports: list[tuple[str, int, int]] = []

    await findings(BucketVerification(bucket, report=lambda *report: reports.append(report)))

    assert reports == [("documents", 2, 3), ("documents", 3, 3), ("objects", 2, 3), ("objects", 3, 3)]
