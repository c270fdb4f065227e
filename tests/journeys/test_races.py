"""Several people change the same thing at once: one wins, and the others are shown what the winner made of it.

Every mutation that takes an expectedRevision is raced, over HTTP, by clients of two servers on one database.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx2
import pytest
from graphql import get_named_type

import documents
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, open_database
from graph.core.fields import NODE_VIEWS
from tests.journeys.access_inputs import KIND_OF_INPUT, mutations
from tests.journeys.access_queries import TYPES, ids_of, selection
from tests.journeys.access_world import World, a_world
from tests.support import builders as new
from tests.support.builders import everything_kept, keep
from tests.support.patience import until_awaited, within
from tests.support.running import ADMIN_TOKEN, COMMAND, PLAIN, is_overloaded, on_database, running

DATABASE = "test_races"
MAX_CALLERS = 10
WRITTEN_OTHERWISE = {"Component", "Dataset", "Execution"}
"""Types with a revision that no mutation takes as expected: what they say comes from what was ingested or run."""


class Race(NamedTuple):
    """A mutation that refuses to overwrite what others changed."""

    mutation: str
    input: str
    type: str
    field: str
    """The payload's field that holds the object."""

    def query(self) -> str:
        """The request for it, with all that the object has."""
        shown = f"{selection(TYPES[self.type], 0)} {RIGHTS.get(self.type, '')}"
        conflict = f"expectedRevision currentRevision current {{ ... on {self.type} {{ {shown} }} }}"
        errors = f"userErrors {{ __typename code message path ... on RevisionConflict {{ {conflict} }} }}"
        payload = f"{self.field} {{ {shown} }} {errors}"
        return f"mutation ($input: {self.input}!) {{ payload: {self.mutation}(input: $input) {{ {payload} }} }}"

    def rivals(self, many: int) -> Sequence[documents.Document]:
        """So many things, each of which is named by one change alone."""
        if self.mutation == "mergeOrganisations":
            return [documents.Organisation(url=f"https://office-{number}.example") for number in range(many)]
        return [new.a_user() for _ in range(many)]

    def change(self, rival: str) -> dict[str, Any]:
        """A change that names this rival, which no other does."""
        if self.mutation in NAMED_BY:
            name, several = NAMED_BY[self.mutation]
            return {name: [rival] if several else rival}
        text = next(name for name in ("title", "name") if name in TYPES[self.input].fields)
        return {text: f"as {rival} wants it"}


NAMED_BY = {
    "updateOutputAccess": ("authorizeUserIds", True),
    "updateDigitalTwinAccess": ("authorizeUserIds", True),
    "transferDigitalTwin": ("ownerId", False),
    "mergeOrganisations": ("duplicateIds", True),
}
"""The input field that names the rival, and whether it is a list; all others put it into a text."""
COPIED_DOWN = {"updateDigitalTwinAccess", "transferDigitalTwin", "mergeOrganisations"}
"""Mutations that change rows of other objects as well."""
RIGHTS = {
    "Output": "accessControl { public authorizedUsers { id } }",
    "DigitalTwin": "owner { id } readers { id }",
}


def races() -> Iterator[Race]:
    """Each of them, from the schema."""
    for name, call in mutations():
        input_type: Any = get_named_type(call.args["input"].type)
        if "expectedRevision" in input_type.fields:
            shown = NODE_VIEWS[KIND_OF_INPUT[input_type.name]]
            payload: Any = get_named_type(call.type)
            (field,) = (name for name, one in payload.fields.items() if get_named_type(one.type).name == shown)
            yield Race(name, input_type.name, shown, field)


RACES = list(races())


@pytest.fixture(scope="module")
def servers(mongod: EmbeddedMongo) -> Iterator[list[str]]:
    """The addresses of two servers on one database."""
    env = on_database(mongod.uri, DATABASE)
    with ExitStack() as stack:
        yield [stack.enter_context(running(*COMMAND, "serve", env=env)).url for _ in range(2)]


@pytest.fixture
async def callers(servers: list[str], client: Client) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Administrators who ask one server or the other, of one database."""
    await open_database(client[DATABASE], indexes=False)
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    options = PLAIN | {"headers": headers, "timeout": within()}
    callers = [httpx2.AsyncClient(base_url=servers[number % 2], **options) for number in range(MAX_CALLERS)]
    yield callers
    await asyncio.gather(*(caller.aclose() for caller in callers))


def test_everything_that_people_change_is_guarded_by_its_revision() -> None:
    with_revision = {name for name in NODE_VIEWS.values() if "revision" in TYPES[name].fields}
    # A user has no revision.
    updates = {name for name, _ in mutations() if name.startswith("update")} - {"updateUser"}

    assert {race.type for race in RACES} | WRITTEN_OTHERWISE == with_revision
    assert {race.mutation for race in RACES} == updates | {"mergeOrganisations", "transferDigitalTwin"}


@pytest.mark.parametrize(("many", "rounds"), [(2, 10), (MAX_CALLERS, 3)])
@pytest.mark.parametrize("race", RACES, ids=[race.mutation for race in RACES])
async def test_of_those_who_change_the_same_revision_one_wins_and_the_others_see_what_it_made(
    callers: list[httpx2.AsyncClient], race: Race, many: int, rounds: int
) -> None:
    world = a_world()
    await world.begin()
    rivals = race.rivals(many * rounds)
    await keep(*rivals)
    id = await subject(race, world)
    before = await everything_kept()

    for revision in range(1, rounds + 1):
        given = {"id": id, "expectedRevision": revision}
        changes = [race.change(rival.id) for rival in rivals[many * (revision - 1) : many * revision]]
        answers = await asyncio.gather(
            *(call(caller, race, given | change) for caller, change in zip(callers, changes, strict=False))
        )
        (won,) = (number for number, answer in enumerate(answers) if answer["userErrors"] == [])
        written = answers[won][race.field]
        assert written["revision"] == revision + 1
        assert_has(written, changes[won])
        for answer in answers[:won] + answers[won + 1 :]:
            assert answer[race.field] is None
            (conflict,) = answer["userErrors"]
            assert conflict["__typename"] == "RevisionConflict"
            assert (conflict["code"], conflict["path"]) == ("REVISION_CONFLICT", ["input", "expectedRevision"])
            assert (conflict["expectedRevision"], conflict["currentRevision"]) == (revision, revision + 1)
            assert conflict["current"] == written

    changed = {row["_id"]: row for row in changed_rows(before, await everything_kept())}
    assert changed[id]["revision"] == rounds + 1
    assert race.mutation in COPIED_DOWN or list(changed) == [id]


async def subject(race: Race, world: World) -> str:
    """The id of what everybody wants to change."""
    if race.mutation != "transferDigitalTwin":
        return ids_of(world, KIND_OF_INPUT[race.input])[0]
    # Not one with executions that have yet to end, which is not handed over.
    owner = new.a_user()
    twin = new.a_twin(owner)
    await keep(owner, twin)
    return twin.id


async def call(caller: httpx2.AsyncClient, race: Race, given: dict[str, Any]) -> Any:
    """Call the mutation, again while a busy server refuses it; returns the payload."""
    asked = {"query": race.query(), "variables": {"input": given}}

    async def unless_overloaded() -> Any:
        answer = (await caller.post("/graphql", json=asked)).json()
        return None if is_overloaded(answer) else answer

    answer = await until_awaited(unless_overloaded)
    assert "errors" not in answer, answer
    return answer["data"]["payload"]


def assert_has(written: dict[str, Any], change: dict[str, Any]) -> None:
    """The object is as the winner wanted it."""
    for name, value in change.items():
        match name:
            case "authorizeUserIds":
                readers = written["readers"] if "readers" in written else written["accessControl"]["authorizedUsers"]
                assert value[0] in [one["id"] for one in readers]
            case "ownerId":
                assert written["owner"]["id"] == value
            case "duplicateIds":
                # An organisation does not show those that were merged into it.
                pass
            case _:
                assert written[name] == value


def changed_rows(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> list[Any]:
    """The rows that are not as they were."""
    return [row for name, rows in after.items() for row in rows if row not in before[name]]
