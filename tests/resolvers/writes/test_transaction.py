"""Writing beside others who write the same: the work is done again, and finds theirs."""

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Role, Viewer
from resolvers.catalogue import find_or_create, publish, transform
from resolvers.concurrency.keyed_lock import is_in_use, keyed_lock
from resolvers.filters import Filter
from resolvers.galaxy import instance
from resolvers.reads.rows import Row, collection_of
from resolvers.twins import register_component
from resolvers.user_errors import NotFound
from resolvers.writes.store import insert, insert_or_retry, update
from resolvers.writes.transaction import Outcome, RetryTransaction, require_lock, run_in_transaction
from tests.support import builders as new
from tests.support.asking import ADMIN
from tests.support.builders import everything_kept, keep
from tests.support.catalogue import ingest
from tests.support.runs import do
from tests.support.working import COMMIT, plain_yml

pytestmark = pytest.mark.usefixtures("database")

URL = "https://organisation.example"


async def test_writes_that_require_a_lock_run_one_after_the_other_and_wait_outside_of_their_transactions() -> None:
    running: list[int] = []
    attempts = 0

    async def work(session: Session) -> Outcome:
        nonlocal attempts
        attempts += 1
        await require_lock("key")
        running.append(len(running))
        await collection_of(documents.Organisation).find_one({}, session=session)
        await asyncio.sleep(0.01)
        return {"others": running.pop()}

    outcomes = await asyncio.gather(*(run_in_transaction(work) for _ in range(5)))

    assert [outcome["others"] for outcome in outcomes] == [0] * 5
    assert attempts == 1 + 2 * 4


async def test_a_lock_is_free_again_after_a_write_that_failed() -> None:
    async def fail(session: Session) -> Outcome:
        await require_lock("key")
        raise NotFound("Organisation", "organisation_1")

    for _ in range(2):
        with pytest.raises(NotFound):
            await run_in_transaction(fail)

    assert not is_in_use("key")


async def test_a_write_that_is_cancelled_while_it_waits_for_a_lock_begins_nothing() -> None:
    begun = 0

    async def work(session: Session) -> Outcome:
        nonlocal begun
        await require_lock("key")
        begun += 1
        return {}

    async with keyed_lock("key"):
        waiting = asyncio.create_task(run_in_transaction(work))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert begun == 0
    assert not is_in_use("key")


async def test_an_insert_that_meets_what_another_stored_is_done_again_and_finds_theirs() -> None:
    theirs = documents.Organisation(url=URL)
    looks: list[Row | None] = []

    async def work(session: Session) -> Outcome:
        # Outside of the transaction, which does not see what is stored after its first look.
        looks.append(await collection_of(documents.Organisation).find_one({"url": URL}))
        if looks[-1] is not None:
            return {"organisation": looks[-1]}
        await theirs.insert()
        return {"organisation": await insert_or_retry(documents.Organisation(url=URL), session)}

    outcome = await run_in_transaction(work)

    assert [look and look["_id"] for look in looks] == [None, theirs.id]
    assert outcome["organisation"]["_id"] == theirs.id
    assert await documents.Organisation.count() == 1


async def test_an_insert_of_what_must_not_be_there_says_that_it_is() -> None:
    await documents.Organisation(url=URL).insert()
    kept = await everything_kept()

    async def work(session: Session) -> Outcome:
        return {"organisation": await insert(documents.Organisation(url=URL), session)}

    with pytest.raises(DuplicateKeyError):
        await run_in_transaction(work)
    assert await everything_kept() == kept


@pytest.mark.parametrize("expected", [None, 1])
async def test_an_update_of_what_is_gone_is_refused_at_its_id(expected: int | None) -> None:
    gone = {"_id": documents.Organisation(url=URL).id, "revision": 1}

    async def work(session: Session) -> Outcome:
        return {"organisation": await update(documents.Organisation, gone, {"name": "new"}, expected, session)}

    with pytest.raises(NotFound) as raised:
        await run_in_transaction(work)

    assert (raised.value.path, str(raised.value)) == (("id",), f"No Organisation with id {gone['_id']}.")


async def test_work_is_not_done_again_for_ever() -> None:
    tries = 0

    async def work(session: Session) -> Outcome:
        nonlocal tries
        tries += 1
        raise RetryTransaction

    with pytest.raises(RetryTransaction):
        await run_in_transaction(work)
    assert tries == 6


class Blind:
    """A collection whose first look finds nothing, as if another had stored it only afterwards."""

    def __init__(self, document: type[documents.Document]) -> None:
        self.document, self.looks = document, 0

    def collection_of(self, document: type[documents.Document]) -> Any:
        return self if document is self.document else collection_of(document)

    def find(self, match: Filter, *given: Any, **more: Any) -> Any:
        return collection_of(self.document).find(self._seen(match), *given, **more)

    async def find_one(self, match: Filter, *given: Any, **more: Any) -> Any:
        return await collection_of(self.document).find_one(self._seen(match), *given, **more)

    def _seen(self, match: Filter) -> Filter:
        self.looks += 1
        return {"_id": None} if self.looks == 1 else match

    def __getattr__(self, name: str) -> Any:
        return getattr(collection_of(self.document), name)


async def a_report() -> Any:
    payload = await ingest()
    return payload | {"transform": None}


async def a_component() -> Any:
    given = {"repoLink": URL, "commitHash": COMMIT, "version": "1", "odtpYml": plain_yml()}
    shown = "component { id revision } componentVersion { id }"
    return await do("ingestComponent", shown, ADMIN, **given)


async def an_instance() -> Any:
    owner = new.a_user()
    await keep(owner)
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    return await do("createInstance", "instance { id }", Viewer(Role.USER, owner.id), url=URL, title="t", uuid=uuid)


async def a_request() -> Any:
    resource = await documents.Resource.find_one() or await documents.Resource.get((await a_report())["resource"]["id"])
    assert resource
    return await do("requestTransform", "transform { id }", ADMIN, resourceId=resource.id)


@pytest.mark.parametrize(
    ("module", "document", "call"),
    [
        (find_or_create, documents.Organisation, a_report),
        (publish, documents.Dataset, a_report),
        (register_component, documents.Component, a_component),
        (register_component, documents.ComponentVersion, a_component),
        (instance, documents.Instance, an_instance),
        (transform, documents.Transform, a_request),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
async def test_what_another_stored_after_the_look_is_found_by_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    document: type[documents.Document],
    call: Callable[[], Awaitable[Any]],
) -> None:
    await call()
    expected, stored = await call(), await document.count()
    blind = Blind(document)
    monkeypatch.setattr(module, "collection_of", blind.collection_of)

    assert await call() == expected
    assert (blind.looks, await document.count()) == (2, stored)
