"""Registering reports that were uploaded to the bucket."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

import documents
from documents.mongo.database import Database
from documents.storage.upload import Upload, UploadStatus
from resolvers.access.viewer import Role, Viewer
from resolvers.galaxy.receive_report import create_upload, store_bytes
from resolvers.sweeps.uploads import sweep_uploads
from tests.support import builders as new
from tests.support.asking import ask
from tests.support.builders import keep
from tests.support.clock import Clock
from tests.support.galaxies import a_report, an_identifier, metadata
from tests.support.storage import Place
from tests.support.uploading import refusal_of, upload_bytes

REGISTER = """mutation ($input: RegisterArchiveInput!) { registerArchive(input: $input) {
  alreadyExisted archive { id identifier sha256 sizeBytes quarantine metadata instance { id } }
  userErrors { __typename code message path } } }"""


@pytest.fixture
async def owner(database: Database) -> Viewer:
    user = new.a_user()
    await keep(user)
    return Viewer(Role.USER, user.id)


@pytest.fixture
async def instance(owner: Viewer) -> documents.Instance:
    instance = new.an_instance(owner_refs=[owner.user_id])
    await keep(instance)
    return instance


async def register(
    place: Place, viewer: Viewer, instance: documents.Instance, content: bytes, identifier: str, **fields: Any
) -> Any:
    """The payload of registerArchive for a report that is uploaded first."""
    upload = await upload_bytes(place, viewer, content, purpose="ARCHIVE")
    said = json.loads(metadata(identifier, content, **fields))
    given = {"instanceId": instance.id, "identifier": identifier, "uploadId": upload, "metadata": said}
    return (await ask(REGISTER, viewer, input=given))["registerArchive"]


async def archives() -> list[documents.Archive]:
    return await documents.Archive.find_all().sort("_id").to_list()


async def test_an_uploaded_report_becomes_an_archive(place: Place, owner: Viewer, instance: documents.Instance) -> None:
    content, identifier = a_report(), an_identifier()

    payload = await register(place, owner, instance, content, identifier)

    assert payload["userErrors"] == []
    assert payload["alreadyExisted"] is False
    assert payload["archive"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert payload["archive"]["metadata"] == json.loads(metadata(identifier, content))
    (archive,) = await archives()
    assert archive.generation is not None
    assert b"".join([part async for part in place.bucket.read(archive.key, archive.generation)]) == content
    assert archive.owner_refs == [owner.user_id]


async def test_the_same_report_again_is_the_archive_that_there_is(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    content, identifier = a_report(), an_identifier()

    first = await register(folder, owner, instance, content, identifier)
    second = await register(folder, owner, instance, content, identifier)

    assert (first["alreadyExisted"], second["alreadyExisted"]) == (False, True)
    assert first["archive"] == second["archive"]
    assert len(await archives()) == 1
    # No archive refers to the second upload, so the sweep removes it when it expires.
    statuses = [upload.status for upload in await Upload.find_all().sort("_id").to_list()]
    assert statuses == [UploadStatus.REGISTERED, UploadStatus.CHECKED]


async def test_the_same_report_many_times_at_once_is_one_archive(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    content, identifier = a_report(), an_identifier()

    payloads = await asyncio.gather(*(register(folder, owner, instance, content, identifier) for _ in range(6)))

    assert [payload["userErrors"] for payload in payloads] == [[]] * 6
    assert sorted(payload["alreadyExisted"] for payload in payloads) == [False] + [True] * 5
    assert len(await archives()) == 1


async def test_reports_that_replace_the_same_one_at_once_leave_one_in_its_place(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    first, identifier = a_report(), an_identifier()
    await register(folder, owner, instance, first, identifier)
    replaces = f"sha256:{hashlib.sha256(first).hexdigest()}"

    payloads = await asyncio.gather(
        *(register(folder, owner, instance, a_report(), identifier, supersedes=replaces) for _ in range(4))
    )

    codes = sorted(error["code"] for payload in payloads for error in payload["userErrors"])
    assert codes == ["ALREADY_EXISTS"] * 3
    kept = await archives()
    assert [archive.current for archive in kept] == [False, True]
    assert kept[0].superseded_by_ref == kept[1].id


async def test_a_report_that_was_superseded_stays_so_and_metadata_alone_can_be_replaced(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    content, identifier = a_report(), an_identifier()
    replaces = f"sha256:{hashlib.sha256(content).hexdigest()}"

    broken = await register(folder, owner, instance, content, identifier, version=99)
    mended = await register(folder, owner, instance, content, identifier, supersedes=replaces)
    again = await register(folder, owner, instance, content, identifier, supersedes=replaces)

    assert broken["archive"]["quarantine"] == "The version of its metadata is 99; 1, 2 and 3 are known."
    assert mended["archive"]["quarantine"] is None
    assert again["archive"] == mended["archive"]
    assert [archive.current for archive in await archives()] == [False, True]


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        (
            *({"report_hash": f"sha256:{'0' * 64}"}, "CHECKSUM_MISMATCH"),
            f"The SHA-256 of the archive is {{sha256}}, and report_hash in its metadata is {'0' * 64}.",
        ),
        (
            *({"report_hash": "md5:0"}, "VALIDATION"),
            'report_hash must be sha256: and 64 hexadecimal digits, not "md5:0".',
        ),
        ({"supersedes": f"sha256:{'0' * 64}"}, "VALIDATION", "No report {identifier} exists to be superseded."),
    ],
)
async def test_a_report_that_contradicts_itself_is_refused(
    folder: Place, owner: Viewer, instance: documents.Instance, fields: dict[str, Any], code: str, message: str
) -> None:
    content, identifier = a_report(), an_identifier()

    payload = await register(folder, owner, instance, content, identifier, **fields)

    said = message.format(sha256=hashlib.sha256(content).hexdigest(), identifier=identifier)
    assert refusal_of(payload) == (code, ["input", "metadata"])
    assert payload["userErrors"][0]["message"] == said
    assert await archives() == []


async def test_metadata_and_identifiers_that_cannot_be_stored_are_refused_at_their_place(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    upload = await upload_bytes(folder, owner, a_report(), purpose="ARCHIVE")
    whole = {"instanceId": instance.id, "identifier": "1.5", "uploadId": upload, "metadata": {}}
    wrong: list[dict[str, Any]] = [{"metadata": "x" * 1_000_000}, {"metadata": []}, {"identifier": "../1.5"}]

    refused = [(await ask(REGISTER, owner, input=whole | given))["registerArchive"] for given in wrong]

    allowed = "1 to 100 letters, digits, dots, _ and -, as 1501836597.08 has"
    told = [(error["message"], error["path"]) for payload in refused for error in payload["userErrors"]]
    assert told == [
        ("The metadata is larger than 1,000,000 bytes.", ["input", "metadata"]),
        ("The metadata is a list, not an object.", ["input", "metadata"]),
        (f'identifier must have {allowed}, not "../1.5".', ["input", "identifier"]),
    ]
    assert await archives() == []


async def test_only_owners_register_reports_and_others_learn_nothing_of_a_private_instance(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    user = new.a_user()
    public = new.an_instance(owner_refs=[owner.user_id], public=True)
    await keep(user, public)
    stranger = Viewer(Role.USER, user.id)

    hidden = await register(folder, stranger, instance, a_report(), an_identifier())
    shown = await register(folder, stranger, public, a_report(), an_identifier())

    assert refusal_of(hidden) == ("NOT_FOUND", ["input", "instanceId"])
    assert refusal_of(shown) == ("FORBIDDEN", ["input", "instanceId"])
    assert await archives() == []


async def test_an_upload_of_somebody_else_or_for_something_else_cannot_be_registered(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    other = new.a_user()
    await keep(other)
    content = a_report()
    uploads = [
        await upload_bytes(folder, Viewer(Role.USER, other.id), content, purpose="ARCHIVE"),
        await upload_bytes(folder, owner, content, purpose="OUTPUT"),
    ]

    for upload in uploads:
        given = {"instanceId": instance.id, "identifier": "1.5", "uploadId": upload, "metadata": {}}
        payload = (await ask(REGISTER, owner, input=given))["registerArchive"]
        assert refusal_of(payload) == ("NOT_FOUND", ["input", "uploadId"])


async def test_reports_and_the_publishing_of_their_instance_do_not_miss_each_other(
    folder: Place, owner: Viewer, instance: documents.Instance
) -> None:
    publish = "mutation ($input: UpdateInstanceInput!) { updateInstance(input: $input) { userErrors { code } } }"

    for public in (True, False, True, False):
        await asyncio.gather(
            *(register(folder, owner, instance, a_report(), an_identifier()) for _ in range(3)),
            ask(publish, owner, input={"id": instance.id, "public": public}),
        )
        assert {archive.public for archive in await archives()} == {public}


async def test_bytes_of_a_server_that_was_killed_before_it_registered_them_are_swept(
    folder: Place, instance: documents.Instance, clock: Clock
) -> None:
    async def bytes_of_a_report() -> AsyncIterator[bytes]:
        yield b"half registered"

    upload = await create_upload(instance.id, folder.bucket)
    await store_bytes(upload, folder.bucket, bytes_of_a_report())

    early = await sweep_uploads(folder.bucket)
    clock.forward(25 * 3600)
    late = await sweep_uploads(folder.bucket)

    assert (early, late) == (0, 1)
    assert await folder.bucket.stat(upload.key) is None
