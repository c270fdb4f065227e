"""Point reads of concurrent requests go out as one find."""

import asyncio

import pymongo
import pytest
from pymongo.errors import NetworkTimeout

import documents
from documents.mongo.fast_find import remaining_timeout
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.reads.batch_point_reads import MAX_WAIT_BEHIND_FIND, Find, Row, coalesce
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, WORKER, ask, by_plan
from tests.support.builders import a_twin, a_user, keep
from tests.support.patience import within

pytestmark = pytest.mark.usefixtures("database")

POINT = "query($id: ID!) { organisation(id: $id) { id url } }"


async def organisations(count: int) -> list[documents.Organisation]:
    made = [documents.Organisation(url=f"https://o.example/{number}") for number in range(count)]
    await documents.Organisation.insert_many(made)
    return made


async def test_concurrent_requests_for_one_kind_make_one_find(round_trips: RoundTrips) -> None:
    made = await organisations(30)

    with round_trips.counting() as seen:
        answers = await asyncio.gather(*(ask(POINT, id=one.id) for one in made))

    assert [answer["organisation"] for answer in answers] == [{"id": one.id, "url": one.url} for one in made]
    assert seen == [("find", "organisations")]


async def test_other_fields_and_other_policies_are_read_apart(round_trips: RoundTrips) -> None:
    (one,) = await organisations(1)

    with round_trips.counting() as seen:
        await asyncio.gather(
            ask(POINT, id=one.id), ask("query($id: ID!) { organisation(id: $id) { name } }", id=one.id)
        )

    assert seen == [("find", "organisations")] * 2


async def test_one_find_gives_nobody_what_only_another_may_see(round_trips: RoundTrips) -> None:
    owner, reader, other = a_user(), a_user(), a_user()
    await keep(owner, reader, other, twin := a_twin(owner, reader_refs=[reader.id]))
    viewers = [ADMIN, Viewer(Role.USER, owner.id), Viewer(Role.USER, reader.id), Viewer(Role.USER, other.id), ANONYMOUS]
    query = "query($id: ID!) { digitalTwin(id: $id) { id } }"

    for asked in (viewers, viewers[::-1]):
        with round_trips.counting() as seen:
            answers = await asyncio.gather(*(ask(query, viewer, id=twin.id) for viewer in asked))

        sees = [viewer not in viewers[-2:] for viewer in asked]
        assert [answer["digitalTwin"] for answer in answers] == [{"id": twin.id} if one else None for one in sees]
        assert seen == [("find", "digitalTwins")] * len(viewers)


async def test_a_change_is_seen_by_whoever_asks_after_it() -> None:
    (one,) = await organisations(1)
    await ask(POINT, id=one.id)
    await one.set({"url": "https://changed.example"})

    assert (await ask(POINT, id=one.id))["organisation"]["url"] == "https://changed.example"


async def test_an_error_fails_only_its_own_callers() -> None:
    async def find(values: list[str]) -> list[Row]:
        if "bad" in values:
            raise ValueError("bad")
        return [{"_id": value} for value in values]

    answers = await asyncio.gather(
        *(coalesce("k", "_id", [value], find) for value in ("a", "bad", "b")), return_exceptions=True
    )

    assert answers[0] == {"a": {"_id": "a"}}
    assert isinstance(answers[1], ValueError)
    assert answers[2] == {"b": {"_id": "b"}}


async def test_a_database_that_is_away_is_asked_once_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.reads.batch_point_reads.MAX_WAIT_BEHIND_FIND", 60)
    found = Finds()

    async def find(values: list[str]) -> list[Row]:
        await found(values)
        raise NetworkTimeout("silent")

    asking = [ask_for(value, find) for value in "ab"]
    await found.begun(1)
    asking.append(ask_for("c", find))
    await asyncio.sleep(0)
    found.go_on.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(answer) for answer in answers] == [NetworkTimeout] * 3
    assert found.asked == [["a", "b"]]


async def test_a_callers_deadline_is_for_that_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.reads.batch_point_reads.MAX_WAIT_BEHIND_FIND", -1)
    found = Finds()
    with pymongo.timeout(0.05):
        hurried = ask_for("a", found)
        with pytest.raises(NetworkTimeout, match=r"within 0\.\d s"):
            await hurried
    patient = ask_for("b", found)
    await found.begun(2)
    found.go_on.set()

    assert await patient == {"b": {"_id": "b"}}


async def test_a_find_has_no_callers_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.reads.batch_point_reads.MAX_WAIT_BEHIND_FIND", 60)
    left: list[float | None] = []
    begun = Finds()

    async def find(values: list[str]) -> list[Row]:
        left.append(remaining_timeout())
        return await begun(values)

    with pymongo.timeout(5):
        asking = [ask_for("a", find)]
        await begun.begun(1)
    asking.append(ask_for("b", find))
    begun.go_on.set()
    await asyncio.gather(*asking)

    assert left == [None, None]


async def test_a_caller_who_leaves_takes_nobody_along() -> None:
    async def find(values: list[str]) -> list[Row]:
        await asyncio.sleep(0.01)
        return [{"_id": value} for value in values]

    leaving = asyncio.ensure_future(coalesce("k", "_id", ["a"], find))
    staying = coalesce("k", "_id", ["b"], find)
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying == {"b": {"_id": "b"}}


async def test_more_values_than_one_find_takes_are_read_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.reads.batch_point_reads.MAX_VALUES_PER_FIND", 3)
    sizes: list[int] = []

    async def find(values: list[str]) -> list[Row]:
        sizes.append(len(values))
        await asyncio.sleep(0.001)
        return [{"_id": value} for value in values]

    answers = await asyncio.gather(*(coalesce("k", "_id", [f"{number}"], find) for number in range(10)))

    assert answers == [{f"{number}": {"_id": f"{number}"}} for number in range(10)]
    assert max(sizes) == 3


async def test_who_asks_while_a_find_is_on_its_way_is_answered_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.reads.batch_point_reads.MAX_WAIT_BEHIND_FIND", 60)
    found = Finds()
    asking = [ask_for("a", found)]
    await found.begun(1)
    asking += [ask_for(value, found) for value in "bcd"]
    for _ in range(20):
        # Each is a turn of the loop, in which another find could begin.
        await asyncio.sleep(0)

    assert found.asked == [["a"]]
    found.go_on.set()
    assert await asyncio.gather(*asking) == [{value: {"_id": value}} for value in "abcd"]
    assert found.asked == [["a"], ["b", "c", "d"]]


async def test_nobody_waits_for_a_find_that_takes_long() -> None:
    found = Finds()
    asking = [ask_for("a", found)]
    await found.begun(1)
    await asyncio.sleep(MAX_WAIT_BEHIND_FIND * 2)
    asking += [ask_for(value, found) for value in "bc"]
    await found.begun(2)

    assert found.asked == [["a"], ["b", "c"]]
    found.go_on.set()
    assert await asyncio.gather(*asking) == [{value: {"_id": value}} for value in "abc"]


class Finds:
    """Finds that wait to be told to go on."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.go_on = asyncio.Event()

    async def __call__(self, values: list[str]) -> list[Row]:
        self.asked.append(values)
        await self.go_on.wait()
        return [{"_id": value} for value in values]

    async def begun(self, count: int) -> None:
        """Wait until so many have begun."""
        async with asyncio.timeout(within()):
            while len(self.asked) < count:
                await asyncio.sleep(0)


def ask_for(value: str, find: Find) -> "asyncio.Future[dict[str, Row]]":
    """Ask for a value, at the same time as others."""
    return asyncio.ensure_future(coalesce("k", "_id", [value], find))


async def test_plans_coalesce_across_viewers_of_what_everybody_may_see(round_trips: RoundTrips) -> None:
    (one,) = await organisations(1)

    with round_trips.counting() as seen:
        await asyncio.gather(by_plan(POINT, ADMIN, id=one.id), by_plan(POINT, WORKER, id=one.id))

    assert seen == [("find", "organisations")]
