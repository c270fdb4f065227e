"""Gathering outputs into results, as the owner of an execution does."""

import asyncio
from typing import Any

import pytest

from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import a_result, a_step, a_twin, a_user, an_execution, an_output, everything_kept, keep

pytestmark = pytest.mark.usefixtures("database")

RESULT = """result { id title description tags revision digitalTwin { id } execution { id }
  outputs(first: 100) { nodes { id } } }
  userErrors { __typename code path ... on RevisionConflict { currentRevision current { id } } }"""
CREATE = f"mutation($input: CreateResultInput!) {{ createResult(input: $input) {{ {RESULT} }} }}"
UPDATE = f"mutation($input: UpdateResultInput!) {{ updateResult(input: $input) {{ {RESULT} }} }}"


class Ran:
    """An execution with two outputs, its re-run that reuses the step of the first, and a result."""

    def __init__(self, *, public: bool = False) -> None:
        self.owner = a_user()
        self.viewer = Viewer(Role.USER, self.owner.id)
        self.twin = a_twin(self.owner, public=public)
        self.execution, self.rerun, self.other = (an_execution(self.twin) for _ in range(3))
        self.load, self.plot = a_step(self.execution), a_step(self.execution, ordinal=1)
        self.reused = a_step(self.rerun, reused_from_ref=self.load.id)
        self.strange = a_step(self.other)
        self.loaded, self.plotted, self.elsewhere = (an_output(one) for one in (self.load, self.plot, self.strange))
        self.result = a_result(self.execution, [self.plotted], title="tides", description="d", tags=["sea"])

    async def begin(self) -> None:
        await keep(self.owner, self.twin, self.execution, self.rerun, self.other, self.load, self.plot, self.reused)
        await keep(self.strange, self.loaded, self.plotted, self.elsewhere, self.result)

    def with_token(self, number: int) -> Viewer:
        """The owner with another token: calls with the same one take turns, and so never meet in the database."""
        return Viewer(Role.USER, self.owner.id, f"token_{number}")

    async def create(self, viewer: Viewer | None = None, **given: Any) -> dict[str, Any]:
        given = {"executionId": self.execution.id, "title": "new", "outputIds": [], **given}
        found: dict[str, Any] = (await ask(CREATE, viewer or self.viewer, input=given))["createResult"]
        return found

    async def update(self, viewer: Viewer | None = None, **given: Any) -> dict[str, Any]:
        answered = await ask(UPDATE, viewer or self.viewer, input={"id": self.result.id, **given})
        found: dict[str, Any] = answered["updateResult"]
        return found


@pytest.fixture
async def ran(database: Any) -> Ran:
    ran = Ran()
    await ran.begin()
    return ran


def codes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error["code"], ".".join(error["path"][1:])) for error in found["userErrors"]]


def outputs(found: dict[str, Any]) -> set[str]:
    return {node["id"] for node in found["result"]["outputs"]["nodes"]}


async def test_outputs_of_an_execution_are_gathered_under_a_title(ran: Ran) -> None:
    found = await ran.create(title=" new ", tags=["a", "a"], outputIds=[ran.plotted.id, ran.loaded.id, ran.plotted.id])

    assert found["userErrors"] == []
    assert found["result"].pop("id").startswith("result_")
    assert outputs(found) == {ran.loaded.id, ran.plotted.id}
    assert found["result"] | {"outputs": None} == {
        "title": "new",
        "description": None,
        "tags": ["a"],
        "revision": 1,
        "digitalTwin": {"id": ran.twin.id},
        "execution": {"id": ran.execution.id},
        "outputs": None,
    }
    kept = (await everything_kept())["results"][-1]
    assert (kept["output"], kept["ownerRef"], kept["public"]) == (
        [ran.plotted.id, ran.loaded.id],
        ran.owner.id,
        False,
    )


async def test_outputs_that_a_rerun_reuses_can_be_gathered_from_it(ran: Ran) -> None:
    found = await ran.create(executionId=ran.rerun.id, outputIds=[ran.loaded.id])

    assert outputs(found) == {ran.loaded.id}
    assert codes(await ran.create(executionId=ran.rerun.id, outputIds=[ran.plotted.id])) == [
        ("VALIDATION", "outputIds.0")
    ]


async def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_stored(ran: Ran) -> None:
    stranger = Ran()
    await stranger.begin()
    before = await everything_kept()

    found = await ran.create(
        title="",
        tags=[" "],
        outputIds=[ran.loaded.id, ran.elsewhere.id, stranger.loaded.id, "output_ffffffffffffffffffffffff"],
    )
    many = await ran.create(outputIds=[f"output_{n}" for n in range(1001)])

    assert codes(found) == [
        ("VALIDATION", "title"),
        ("VALIDATION", "tags.0"),
        ("VALIDATION", "outputIds.1"),
        ("NOT_FOUND", "outputIds.2"),
        ("NOT_FOUND", "outputIds.3"),
    ]
    assert codes(many) == [("LIMIT_EXCEEDED", "outputIds")]
    assert await everything_kept() == before


async def test_a_result_is_changed_by_its_owner(ran: Ran) -> None:
    found = await ran.update(
        expectedRevision=1,
        title="neap",
        description=None,
        tags=["moon"],
        addOutputIds=[ran.loaded.id],
        removeOutputIds=[ran.plotted.id, ran.elsewhere.id],
    )

    assert found["userErrors"] == []
    assert outputs(found) == {ran.loaded.id}
    shown = [found["result"][name] for name in ("title", "description", "tags", "revision")]
    assert shown == ["neap", None, ["moon"], 2]


async def test_what_is_left_out_stays(ran: Ran) -> None:
    found = await ran.update(addOutputIds=[ran.plotted.id])

    assert outputs(found) == {ran.plotted.id}
    assert [found["result"][name] for name in ("title", "description", "tags")] == ["tides", "d", ["sea"]]


async def test_changes_that_cannot_be_are_told_at_once_and_change_nothing(ran: Ran) -> None:
    before = await everything_kept()

    found = await ran.update(title=None, tags=["\n"], addOutputIds=[ran.loaded.id, ran.elsewhere.id])
    both = await ran.update(addOutputIds=[ran.plotted.id], removeOutputIds=[ran.plotted.id])
    many = await ran.update(addOutputIds=[f"output_{n}" for n in range(1000)])

    assert codes(found) == [("VALIDATION", "title"), ("VALIDATION", "tags.0"), ("VALIDATION", "addOutputIds.1")]
    assert codes(both) == [("VALIDATION", "addOutputIds.0")]
    assert codes(many) == [("LIMIT_EXCEEDED", "addOutputIds")]
    assert await everything_kept() == before


async def test_a_change_that_others_have_overtaken_is_refused_with_the_result_as_it_is(ran: Ran) -> None:
    await ran.update(title="neap")
    before = await everything_kept()

    found = await ran.update(title="spring", expectedRevision=1)

    assert found["userErrors"] == [
        {
            "__typename": "RevisionConflict",
            "code": "REVISION_CONFLICT",
            "path": ["input", "expectedRevision"],
            "currentRevision": 2,
            "current": {"id": ran.result.id},
        }
    ]
    assert await everything_kept() == before


async def test_of_racing_changes_that_expect_the_same_revision_one_is_made(ran: Ran) -> None:
    found = await asyncio.gather(*(ran.update(ran.with_token(n), title=f"t{n}", expectedRevision=1) for n in range(5)))

    assert sorted(codes(one) for one in found) == [[], *[[("REVISION_CONFLICT", "expectedRevision")]] * 4]


async def test_of_racing_additions_none_is_lost(ran: Ran) -> None:
    more = [an_output(ran.load) for _ in range(6)]
    await keep(*more)

    found = await asyncio.gather(*(ran.update(ran.with_token(n), addOutputIds=[one.id]) for n, one in enumerate(more)))

    assert [codes(one) for one in found] == [[]] * 6
    (kept,) = (await everything_kept())["results"]
    assert sorted(kept["output"]) == sorted([ran.plotted.id, *(one.id for one in more)])
    assert kept["revision"] == 7


async def test_only_the_owner_and_administrators_write_results(ran: Ran) -> None:
    public = Ran(public=True)
    await public.begin()
    before = await everything_kept()
    stranger = public.viewer

    assert codes(await ran.create(viewer=ANONYMOUS)) == [("FORBIDDEN", "")]
    assert codes(await ran.create(viewer=WORKER)) == [("FORBIDDEN", "")]
    assert codes(await ran.create(viewer=stranger)) == [("NOT_FOUND", "executionId")]
    assert codes(await public.create(viewer=ran.viewer)) == [("FORBIDDEN", "executionId")]
    assert codes(await ran.update(viewer=ANONYMOUS)) == [("FORBIDDEN", "")]
    assert codes(await ran.update(viewer=WORKER)) == [("FORBIDDEN", "")]
    assert codes(await ran.update(viewer=stranger)) == [("NOT_FOUND", "id")]
    assert codes(await public.update(viewer=ran.viewer)) == [("FORBIDDEN", "id")]
    assert await everything_kept() == before
    assert codes(await ran.create(viewer=ADMIN)) == []
    assert codes(await ran.update(viewer=ADMIN, title="t")) == []
    assert (await everything_kept())["results"][-1]["ownerRef"] in (ran.owner.id, public.owner.id)


async def test_the_same_key_makes_one_result(ran: Ran) -> None:
    first, second = await asyncio.gather(*(ran.create(idempotencyKey="k") for _ in range(2)))

    assert first["result"]["id"] == second["result"]["id"]
    assert len((await everything_kept())["results"]) == 2
