"""Receiving a report in one call: its fields in any order, and nothing left of one that is refused."""

from collections.abc import AsyncIterator
from itertools import permutations

import pytest

import documents
from documents.mongo.database import Database
from resolvers.galaxy.receive_report import MAX_IDENTIFIER_BYTES, Field, receive_report
from resolvers.user_errors import ChecksumMismatch, InvalidInput, LimitExceeded, Refusal
from tests.support import builders as new
from tests.support.builders import keep
from tests.support.galaxies import a_report, an_identifier, metadata
from tests.support.storage import Place


@pytest.fixture
async def instance(database: Database) -> documents.Instance:
    instance = new.an_instance()
    await keep(instance)
    return instance


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100):
        yield content[start : start + 100]


async def sent(*fields: tuple[str, bytes]) -> AsyncIterator[Field]:
    for name, content in fields:
        yield name, in_pieces(content)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_the_fields_of_a_report_may_come_in_any_order(
    folder: Place, instance: documents.Instance, order: tuple[int, ...]
) -> None:
    content, identifier = a_report(), an_identifier()
    fields = ("identifier", f" {identifier}\n".encode()), ("meta", metadata(identifier, content)), ("data", content)

    archive = await receive_report(instance.id, folder.bucket, sent(*(fields[position] for position in order)))

    assert (archive["instanceRef"], archive["identifier"]) == (instance.id, identifier)
    stored = folder.bucket.read(archive["key"], archive["generation"])
    assert b"".join([chunk async for chunk in stored]) == content


async def test_an_equal_report_is_the_existing_archive_and_its_bytes_are_deleted(
    folder: Place, instance: documents.Instance
) -> None:
    content, identifier = a_report(), an_identifier()
    fields = ("identifier", identifier.encode()), ("meta", metadata(identifier, content)), ("data", content)

    first = await receive_report(instance.id, folder.bucket, sent(*fields))
    second = await receive_report(instance.id, folder.bucket, sent(*fields))

    assert second["_id"] == first["_id"]
    (upload,) = await documents.Upload.find_all().to_list()
    assert upload.key == first["key"]


@pytest.mark.parametrize(
    ("changes", "refusal", "message"),
    [
        ({"identifier": None}, InvalidInput, "identifier is missing."),
        ({"meta": None}, InvalidInput, "meta is missing."),
        ({"data": None}, InvalidInput, "data is missing."),
        ({"extra": b""}, InvalidInput, "'extra' is not one of identifier, meta and data."),
        ({"identifier": b"\xff"}, InvalidInput, "identifier is not UTF-8."),
        ({"identifier": b"1" * (MAX_IDENTIFIER_BYTES + 1)}, LimitExceeded, "identifier has more than 100 bytes."),
        ({"data": b"other bytes"}, ChecksumMismatch, "The SHA-256 of the archive is "),
    ],
)
async def test_nothing_is_left_of_a_report_that_is_refused(
    folder: Place,
    instance: documents.Instance,
    changes: dict[str, bytes | None],
    refusal: type[Refusal],
    message: str,
) -> None:
    content, identifier = a_report(), an_identifier()
    whole = {"data": content, "identifier": identifier.encode(), "meta": metadata(identifier, content)} | changes
    fields = [(name, value) for name, value in whole.items() if value is not None]

    with pytest.raises(refusal) as refused:
        await receive_report(instance.id, folder.bucket, sent(*fields))

    assert refused.value.message.startswith(message)
    assert await documents.Upload.count() == await documents.Archive.count() == 0


async def test_a_report_whose_sender_is_lost_leaves_nothing(folder: Place, instance: documents.Instance) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"the beginning"
        raise ConnectionResetError

    async def fields() -> AsyncIterator[Field]:
        yield "data", broken()

    with pytest.raises(ConnectionResetError):
        await receive_report(instance.id, folder.bucket, fields())

    assert await documents.Upload.count() == 0
