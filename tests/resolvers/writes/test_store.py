"""Rows that are gone when they are to be written."""

import pytest

import documents
from documents.mongo.transaction import Session
from resolvers.user_errors import NotFound
from resolvers.writes.store import lock_row, update
from resolvers.writes.transaction import Outcome, run_in_transaction
from tests.support import builders as new
from tests.support.builders import everything_kept

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("expected_revision", [None, 1])
async def test_a_row_that_is_gone_is_neither_updated_nor_made(expected_revision: int | None) -> None:
    row = {"_id": new.an_instance().id, "title": "Galaxy", "revision": 1}

    async def work(session: Session) -> Outcome:
        return await update(documents.Instance, row, {"title": "Another"}, expected_revision, session)

    with pytest.raises(NotFound) as refused:
        await run_in_transaction(work)

    assert (refused.value.message, refused.value.path) == (f"No Instance with id {row['_id']}.", ("id",))
    assert (await everything_kept())["instances"] == []


async def test_a_row_that_is_gone_is_neither_locked_nor_made() -> None:
    id = new.an_instance().id

    async def work(session: Session) -> Outcome:
        return await lock_row(documents.Instance, id, "additions", session)

    with pytest.raises(NotFound) as refused:
        await run_in_transaction(work)

    assert (refused.value.message, refused.value.path) == (f"No Instance with id {id}.", ())
    assert (await everything_kept())["instances"] == []
