"""Data that lies elsewhere: one document for each state, and who said what of it."""

from typing import Any

import pytest

import documents
from documents.base import now
from documents.mongo.database import Database
from documents.mongo.transaction import in_transaction
from documents.provenance import external_data as document
from documents.provenance.external_data import external_data_id
from resolvers.provenance.external_data import external_state as module
from resolvers.provenance.external_data.external_state import PUBLIC, ExternalState, Reporter, upsert_external_data

pytestmark = pytest.mark.usefixtures("database")

URL = "https://files.example/a.csv"
HASHES = ["0a" * 32, "0b" * 32]
MINE, YOURS = Reporter("user_1"), Reporter("user_2")


async def report(reporter: Reporter, *states: ExternalState) -> None:
    await in_transaction(lambda session: upsert_external_data(states, reporter, session))


async def rows() -> list[dict[str, Any]]:
    return await documents.ExternalData.get_pymongo_collection().find(sort=[("_id", 1)]).to_list()


async def test_another_version_or_hash_is_another_state() -> None:
    states = [ExternalState(URL, version, sha256) for version in (None, "1", "2") for sha256 in (None, *HASHES)]

    await report(PUBLIC, *states, *states)

    assert len({state.id for state in states}) == 9
    assert {row["_id"]: (row["url"], row["version"], row["sha256"]) for row in await rows()} == {
        external_data_id(url, version, sha256): (url, version, sha256) for url, version, sha256, _, _ in states
    }


async def test_what_private_activities_say_stays_in_their_owners_reports(database: Database) -> None:
    before = now()
    await report(MINE, ExternalState(URL, "1", size_bytes=7))
    await report(YOURS, ExternalState(URL, "1", size_bytes=8, media_type="text/csv"))
    await report(MINE, ExternalState(URL, "1", size_bytes=9, media_type="text/plain"))

    (row,) = await rows()
    stored = documents.ExternalData.model_validate(row)
    assert (stored.public, stored.size_bytes, stored.media_type, stored.created_at) == (False, None, None, None)
    assert stored.owner_refs == ["user_1", "user_2"]
    said = [(report.owner_ref, report.size_bytes, report.media_type) for report in stored.reports]
    assert said == [("user_1", 7, "text/plain"), ("user_2", 8, "text/csv")]
    assert before <= stored.reports[0].at <= stored.reports[1].at


async def test_the_first_public_report_is_what_everybody_sees() -> None:
    await report(MINE, ExternalState(URL, size_bytes=7, media_type="text/plain"))
    await report(PUBLIC, ExternalState(URL, size_bytes=8))
    (first,) = await rows()
    await report(Reporter("user_2", public=True), ExternalState(URL, size_bytes=9, media_type="text/csv"))
    (second,) = await rows()

    assert (first["public"], first["size_bytes"], first["media_type"]) == (True, 8, None)
    assert second == first | {"media_type": "text/csv"}
    assert second["ownerRefs"] == ["user_1"]


async def test_a_report_that_says_nothing_new_writes_nothing(database: Database) -> None:
    states = [ExternalState(URL, "1", size_bytes=7), ExternalState("https://files.example/$b")]
    for reporter in (MINE, PUBLIC):
        await report(reporter, *states)

    async with await database["external_data"].watch() as changes:
        for reporter in (MINE, PUBLIC):
            await report(reporter, *states)
        await report(PUBLIC, new := ExternalState(URL, "2"))
        first = await changes.next()

    assert first["documentKey"] == {"_id": new.id}


async def test_owners_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REPORTS", 2)
    for number in range(4):
        await report(Reporter(f"user_{number}"), ExternalState(URL))

    (row,) = await rows()
    assert document.MAX_REPORTS == 1_000
    assert row["ownerRefs"] == [report["ownerRef"] for report in row["reports"]] == ["user_0", "user_1"]
