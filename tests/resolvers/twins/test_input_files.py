"""The inputs of steps: the files that they may be given."""

from typing import Any

import pytest

import documents
from documents.twins.output import OutputType
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support import builders as new
from tests.support.asking import ADMIN, answer, ask
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("database")

FILES = """inputFiles(first: $first, after: $after, last: $last, before: $before) {
  nodes { outputId stepKey name downloadUrl { url } } edges { node { name } cursor }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount }"""
QUERY = f"""query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {{
  node(id: $id) {{ ... on Step {{ {FILES} }} }} }}"""


class Chain:
    """A private execution of a, b, and c which waits for both; b had two attempts; all of them have outputs."""

    def __init__(self) -> None:
        self.owner = new.a_user()
        self.twin = new.a_twin(self.owner)
        self.execution = new.an_execution(self.twin)
        self.a = new.a_step(self.execution, key="a", ordinal=0, attempt=1)
        self.b = new.a_step(self.execution, key="b", ordinal=1, attempt=2)
        self.c = new.a_step(self.execution, key="c", ordinal=2, depends_on=[self.a.id, self.b.id])
        self.of_a = [new.an_output(self.a, attempt=1, file_name=f"a{n}") for n in range(3)]
        self.of_b = [new.an_output(self.b, attempt=n, file_name=f"b{n}") for n in (1, 2)]
        snapshot = new.an_output(self.a, attempt=1, output_type=OutputType.SNAPSHOT)
        self.kept: list[documents.Document] = [self.owner, self.twin, self.execution, self.a, self.b, self.c]
        self.kept += [*self.of_a, *self.of_b, snapshot, new.an_output(self.c, attempt=1)]


async def names(id: str, viewer: Viewer = ADMIN, **given: Any) -> list[tuple[str, str]]:
    """Key and name of each file that a step may take."""
    return [(file["stepKey"], file["name"]) for file in (await page(id, viewer, **given))["nodes"]]


async def page(id: str, viewer: Viewer = ADMIN, **given: Any) -> Any:
    """A page of the files that a step may take."""
    found = (await ask(QUERY, viewer, id=id, **given))["node"]["inputFiles"]
    assert [edge["node"]["name"] for edge in found["edges"]] == [file["name"] for file in found["nodes"]]
    cursors = [edge["cursor"] for edge in found["edges"]] or [None]
    assert [found["pageInfo"][name] for name in ("startCursor", "endCursor")] == [cursors[0], cursors[-1]]
    return found


async def test_a_step_takes_the_outputs_of_the_attempts_that_succeeded_and_no_snapshots() -> None:
    chain = Chain()
    await keep(*chain.kept)

    assert await names(chain.c.id) == [("a", "a0"), ("a", "a1"), ("a", "a2"), ("b", "b2")]
    assert await names(chain.a.id) == []


async def test_outputs_that_were_imported_are_taken_too() -> None:
    chain = Chain()
    await keep(*chain.kept, new.an_output(chain.a, file_name="imported"))

    assert ("a", "imported") in await names(chain.c.id)


async def test_pages_are_those_of_a_connection() -> None:
    chain = Chain()
    await keep(*chain.kept)

    first = await page(chain.c.id, first=3)
    rest = await page(chain.c.id, first=3, after=first["pageInfo"]["endCursor"])
    last = await page(chain.c.id, last=2)
    before = await page(chain.c.id, last=3, before=last["pageInfo"]["startCursor"])

    assert [[file["name"] for file in one["nodes"]] for one in (first, rest, last, before)] == [
        ["a0", "a1", "a2"],
        ["b2"],
        ["a2", "b2"],
        ["a0", "a1"],
    ]
    assert [
        (one["pageInfo"]["hasPreviousPage"], one["pageInfo"]["hasNextPage"]) for one in (first, rest, last, before)
    ] == [(False, True), (True, False), (True, False), (False, True)]
    assert [one["totalCount"] for one in (first, rest, last, before)] == [4] * 4
    assert await names(chain.c.id, first=0) == []


async def test_a_step_that_waits_for_nothing_has_an_empty_page() -> None:
    chain = Chain()
    await keep(*chain.kept)

    assert await page(chain.a.id) == {
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
        "totalCount": 0,
    }


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"first": 101}, "BAD_USER_INPUT"),
        ({"first": -1}, "BAD_USER_INPUT"),
        ({"first": 1, "last": 1}, "BAD_USER_INPUT"),
        ({"after": "output_6b00f913"}, "BAD_CURSOR"),
    ],
)
async def test_pages_are_bounded(given: dict[str, Any], code: str) -> None:
    chain = Chain()
    await keep(*chain.kept)

    refused = await answer(QUERY, ADMIN, id=chain.c.id, **given)

    assert [error["extensions"]["code"] for error in refused["errors"]] == [code]


async def test_what_a_reused_step_left_is_taken_in_the_place_of_the_one_that_reuses_it() -> None:
    chain = Chain()
    again = new.an_execution(chain.twin)
    reused = new.a_step(again, key="again", ordinal=0, reused_from_ref=chain.b.id)
    after = new.a_step(again, key="after", ordinal=1, depends_on=[reused.id])
    await keep(*chain.kept, again, reused, after)

    assert await names(after.id) == [("again", "b2")]


async def test_nobody_is_told_of_files_that_they_may_not_read() -> None:
    chain = Chain()
    chain.execution.public = chain.twin.public = True
    for step in (chain.a, chain.b, chain.c):
        step.public = True
    chain.of_a[1].access_control.public = True
    await keep(*chain.kept)

    assert await names(chain.c.id, ANONYMOUS) == [("a", "a1")]
    assert await names(chain.c.id, Viewer(Role.USER, chain.owner.id)) == await names(chain.c.id)


async def test_the_files_of_many_steps_are_read_at_once(round_trips: Any) -> None:
    chain = Chain()
    steps = [new.a_step(chain.execution, key=f"s{n}", ordinal=n, depends_on=[chain.a.id]) for n in range(3, 23)]
    await keep(*chain.kept, *steps)
    files = "inputFiles(first: 2) { nodes { name } totalCount }"
    query = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Step {{ {files} }} }} }}"

    with round_trips.counting() as seen:
        found = (await ask(query, ADMIN, ids=[step.id for step in steps]))["nodes"]

    pages = [node["inputFiles"] for node in found]
    assert [[file["name"] for file in one["nodes"]] for one in pages] == [["a0", "a1"]] * 20
    assert [one["totalCount"] for one in pages] == [3] * 20
    assert sorted(seen) == [("aggregate", "outputs"), ("aggregate", "outputs"), ("find", "steps"), ("find", "steps")]
