"""Files that make a transform due become what it uses: the state that was reported last before it is claimed."""

import hashlib
from typing import Any

import pytest

import documents
from documents.mongo.database import Database
from resolvers.file_events.mark_transforms_due import MAX_NAMED_FILES
from tests.support.catalogue import REQUEST, ask, do
from tests.support.clock import Clock
from tests.support.runs import a_worker, claim, complete, fail
from tests.support.watching import AFTER, IN, a_file, report, watch

pytestmark = pytest.mark.usefixtures("database")

SHA256 = hashlib.sha256(b"a").hexdigest()
A, B = f"{IN}a.csv", f"{IN}b.csv"

STATE = 'query ($url: String!) { externalData(url: $url, version: "7") { version sha256 sizeBytes } }'


async def used(database: Database, transform: str) -> list[tuple[str, str | None, bool]] | None:
    """What a transform uses, in order: URL, version, and whether its state is assumed."""
    row: Any = await database.transforms.find_one({"_id": transform})
    if row["used"] is None:
        return None
    stored = {one.id: one async for one in documents.ExternalData.find({})}
    assert all(one["declared"] and one["sha256"] == stored[one["ref"]].sha256 for one in row["used"])
    return [(stored[one["ref"]].url, stored[one["ref"]].version, one["assumed"]) for one in row["used"]]


async def test_the_state_that_was_reported_last_is_used_in_whichever_order_it_was_told(database: Database) -> None:
    await watch("births", IN)
    facts = {"sha256": SHA256.upper(), "sizeBytes": "7"}
    await report(a_file("a.csv", 5), a_file("b.csv", 5))
    await report(a_file("a.csv", 7) | facts)
    (due,) = await report(a_file("a.csv", 6), a_file("b.csv", "6"))

    assert await used(database, due["id"]) is None
    await claim()

    assert await used(database, due["id"]) == [(A, "7", False), (B, "6", False)]
    # Everybody may see it, as they may see the transform.
    assert (await ask(STATE, url=A))["externalData"] == {"version": "7", "sha256": SHA256, "sizeBytes": "7"}
    assert await database.external_data.count_documents({}) == 2


async def test_what_changes_after_the_claim_is_used_by_the_next_transform(database: Database) -> None:
    await watch("births", IN)
    (first,) = await report(a_file("a.csv", 5))
    await claim()
    (second,) = await report(a_file("a.csv", 6))

    assert await used(database, first["id"]) == [(A, "5", False)]
    await complete(first["id"])
    assert (await claim())["id"] == second["id"]

    assert await used(database, first["id"]) == [(A, "5", False)]
    assert await used(database, second["id"]) == [(A, "6", False)]


async def test_a_transform_that_runs_again_uses_what_came_while_it_waited(database: Database, clock: Clock) -> None:
    await watch("births", IN)
    (due,) = await report(a_file("a.csv", 5))
    await claim()
    await fail(due["id"], retryable=True)
    assert await used(database, due["id"]) == [(A, "5", False)]

    await report(a_file("a.csv", 6), a_file("b.csv", 5))
    clock.forward(60)
    await claim()

    assert await used(database, due["id"]) == [(A, "6", False), (B, "5", False)]
    await report(a_file("b.csv", 6))
    await fail(due["id"], attempt=2)
    assert await used(database, due["id"]) == [(A, "6", False), (B, "5", False)]


async def test_a_transform_that_is_taken_over_uses_the_same(database: Database, clock: Clock) -> None:
    await watch("births", IN)
    (due,) = await report(a_file("a.csv", 5))
    await claim()
    # Another one waits, so this one stays where it is until somebody takes it over.
    await report(a_file("a.csv", 6))
    clock.forward(61)

    taken_over = await claim(a_worker(2), "worker-2", idempotencyKey="k")

    assert (taken_over["id"], taken_over["attempt"]) == (due["id"], 2)
    assert await used(database, due["id"]) == [(A, "5", False)]


async def test_a_transform_that_somebody_asked_for_uses_what_joined_it(database: Database) -> None:
    resource = await watch("births", IN)
    asked, alone = await do(REQUEST, resourceId=resource.id), await do(REQUEST, resourceId=(await watch("deaths")).id)
    await report(a_file("a.csv", 5))

    await claim(), await claim()

    assert await used(database, asked["transform"]["id"]) == [(A, "5", False)]
    assert await used(database, alone["transform"]["id"]) is None


async def test_of_more_files_than_are_named_those_are_used_and_it_is_told(database: Database) -> None:
    await watch("births", IN)
    await report(*(a_file(f"{n}.csv") for n in range(MAX_NAMED_FILES)))
    (due,) = await report(a_file("more.csv"), a_file("0.csv", 6))

    await claim()

    found = await used(database, due["id"])
    assert found is not None
    assert (len(found), found[0]) == (MAX_NAMED_FILES, (f"{IN}0.csv", "6", False))
    row: Any = await database.transforms.find_one({"_id": due["id"]})
    assert row["used_truncated"] is True


async def test_the_state_of_a_file_from_before_states_were_stored_is_assumed(database: Database) -> None:
    await watch("births", IN)
    (due,) = await report(a_file("a.csv", 5), a_file("b.csv", 5))
    await database.transforms.update_one({"_id": due["id"]}, {"$unset": {"cause.states": ""}})
    await report(a_file("b.csv", 6))

    await claim()

    assert await used(database, due["id"]) == [(A, None, True), (B, "6", False)]


async def test_files_that_are_no_data_at_a_url_are_not_said_to_be_used(database: Database) -> None:
    await watch("births", "sftp://files.example/in/")
    (due,) = await report({"url": "sftp://files.example/in/a.csv", "generation": "5", "updatedAt": AFTER.isoformat()})

    await claim()

    assert await used(database, due["id"]) is None
    assert await database.external_data.count_documents({}) == 0
