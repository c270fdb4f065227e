"""Writing digital twins, as a client does."""

import asyncio
from typing import Any

import pytest

import documents
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import a_result, a_step, a_twin, a_user, an_execution, an_output, everything_kept, keep

pytestmark = pytest.mark.usefixtures("database")

ERRORS = "userErrors { __typename code message path ... on RevisionConflict { expectedRevision currentRevision } }"
CREATE = f"""mutation($input: CreateDigitalTwinInput!) {{ createDigitalTwin(input: $input) {{
  digitalTwin {{ id name status public owner {{ displayName }} revision }} {ERRORS} }} }}"""
UPDATE = f"""mutation($input: UpdateDigitalTwinInput!) {{ updateDigitalTwin(input: $input) {{
  digitalTwin {{ id name status public revision }} {ERRORS} }} }}"""


async def create(viewer: Viewer, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(CREATE, viewer, input=given))["createDigitalTwin"]
    return found


async def update(viewer: Viewer, twin: documents.DigitalTwin | str, **given: Any) -> dict[str, Any]:
    id = twin if isinstance(twin, str) else twin.id
    found: dict[str, Any] = (await ask(UPDATE, viewer, input={"id": id, **given}))["updateDigitalTwin"]
    return found


def codes(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The code of each refusal and the last part of its path."""
    return [(error["code"], error["path"][-1]) for error in found["userErrors"]]


async def kept(*users: documents.User) -> list[Viewer]:
    await keep(*users)
    return [Viewer(Role.USER, user.id) for user in users]


async def test_a_user_begins_a_private_twin_of_their_own() -> None:
    (ada,) = await kept(a_user(display_name="ada"))

    found = await create(ada, name=" river ")

    assert found["userErrors"] == []
    assert found["digitalTwin"].pop("id").startswith("twin_")
    assert found["digitalTwin"] == {
        "name": "river",
        "status": "active",
        "public": False,
        "owner": {"displayName": "ada"},
        "revision": 1,
    }


async def test_an_administrator_begins_a_twin_for_somebody() -> None:
    await kept(ada := a_user(display_name="ada"))

    found = await create(ADMIN, name="river", ownerId=ada.id, public=True)

    assert found["digitalTwin"]["owner"] == {"displayName": "ada"}
    assert found["digitalTwin"]["public"] is True


async def test_a_token_that_stands_for_no_user_has_to_name_an_owner() -> None:
    found = await create(ADMIN, name="river")

    assert codes(found) == [("VALIDATION", "ownerId")]
    assert (await everything_kept())["digitalTwins"] == []


async def test_nobody_begins_a_twin_for_somebody_else_or_for_nobody() -> None:
    ada, bob = a_user(), a_user()
    viewer, _ = await kept(ada, bob)

    assert codes(await create(viewer, name="river", ownerId=bob.id)) == [("FORBIDDEN", "ownerId")]
    assert codes(await create(viewer, name="river", ownerId="user_unknown")) == [("FORBIDDEN", "ownerId")]
    assert codes(await create(ADMIN, name="river", ownerId="user_unknown")) == [("NOT_FOUND", "ownerId")]
    assert codes(await create(ANONYMOUS, name="river")) == [("FORBIDDEN", "input")]
    assert codes(await create(WORKER, name="river", ownerId=ada.id)) == [("FORBIDDEN", "input")]
    assert codes(await create(viewer, name="two\nlines")) == [("VALIDATION", "name")]
    assert (await everything_kept())["digitalTwins"] == []


async def test_the_name_of_a_twin_is_unique_among_those_of_its_owner() -> None:
    ada, bob = await kept(a_user(), a_user())
    await create(ada, name="river")
    before = await everything_kept()

    again = await create(ada, name="river")

    assert codes(again) == [("ALREADY_EXISTS", "name")]
    assert again["digitalTwin"] is None
    assert await everything_kept() == before
    assert (await create(bob, name="river"))["userErrors"] == []


async def test_an_owner_and_an_administrator_change_a_twin() -> None:
    (ada,) = await kept(owner := a_user())
    await keep(twin := a_twin(owner, name="river"))

    first = await update(ada, twin, status=" waiting for data ", expectedRevision=1)
    second = await update(ADMIN, twin, name="lake")

    shown = {"id": twin.id, "public": False, "status": "waiting for data"}
    assert first["digitalTwin"] == shown | {"name": "river", "revision": 2}
    assert second["digitalTwin"] == shown | {"name": "lake", "revision": 3}


async def test_a_private_twin_of_somebody_else_is_like_none_and_a_public_one_is_forbidden() -> None:
    _, stranger = await kept(owner := a_user(), a_user())
    await keep(private := a_twin(owner), public := a_twin(owner, public=True))
    unknown = "twin_0123456789abcdef01234567"
    before = await everything_kept()

    hidden = await update(stranger, private, name="mine")
    missing = await update(stranger, unknown, name="mine")
    malformed = await update(stranger, "../etc", name="mine")
    forbidden = await update(stranger, public, name="mine")

    assert str(hidden).replace(private.id, unknown) == str(missing)
    assert codes(missing) == codes(malformed) == [("NOT_FOUND", "id")]
    assert codes(forbidden) == [("FORBIDDEN", "id")]
    assert codes(await update(WORKER, private, name="mine")) == [("NOT_FOUND", "id")]
    assert codes(await update(WORKER, public, name="mine")) == [("FORBIDDEN", "id")]
    assert codes(await update(ANONYMOUS, private)) == codes(await update(ANONYMOUS, public)) == [("FORBIDDEN", "input")]
    assert await everything_kept() == before


@pytest.mark.parametrize(
    "wrong", [{"name": None}, {"status": None}, {"public": None}, {"name": ""}, {"status": "two\nlines"}]
)
async def test_what_a_twin_must_have_cannot_be_taken_away(wrong: dict[str, Any]) -> None:
    (ada,) = await kept(owner := a_user())
    await keep(twin := a_twin(owner))
    before = await everything_kept()

    assert codes(await update(ada, twin, **wrong)) == [("VALIDATION", next(iter(wrong)))]
    assert await everything_kept() == before


async def test_a_name_that_is_taken_is_refused_and_changes_nothing() -> None:
    (ada,) = await kept(owner := a_user())
    execution = an_execution(twin := a_twin(owner))
    await keep(a_twin(owner, name="river"), twin, execution)
    before = await everything_kept()

    assert codes(await update(ada, twin, name="river", public=True)) == [("ALREADY_EXISTS", "name")]
    assert await everything_kept() == before


async def test_a_change_that_others_have_overtaken_is_refused() -> None:
    (ada,) = await kept(owner := a_user())
    await keep(twin := a_twin(owner, revision=4))
    before = await everything_kept()

    found = await update(ada, twin, name="lake", public=True, expectedRevision=3)

    assert found["userErrors"] == [
        {
            "__typename": "RevisionConflict",
            "code": "REVISION_CONFLICT",
            "message": f"DigitalTwin {twin.id} is at revision 4, not 3.",
            "path": ["input", "expectedRevision"],
            "expectedRevision": 3,
            "currentRevision": 4,
        }
    ]
    assert await everything_kept() == before


async def test_of_racing_changes_that_expect_the_same_revision_one_is_made() -> None:
    (ada,) = await kept(owner := a_user())
    await keep(twin := a_twin(owner))

    answers = await asyncio.gather(*(update(ada, twin, name=f"name {n}", expectedRevision=1) for n in range(8)))

    (made,) = (found["digitalTwin"] for found in answers if found["digitalTwin"])
    refused = [found["userErrors"][0] for found in answers if not found["digitalTwin"]]
    assert [(one["code"], one["currentRevision"]) for one in refused] == [("REVISION_CONFLICT", 2)] * 7
    (row,) = (await everything_kept())["digitalTwins"]
    assert (row["name"], row["revision"]) == (made["name"], 2)


async def test_publishing_a_twin_shows_what_follows_it_but_not_its_outputs_and_hiding_it_hides_it_again() -> None:
    (ada,) = await kept(owner := a_user())
    twin, other = a_twin(owner), a_twin(owner)
    execution, elsewhere = an_execution(twin), an_execution(other)
    step, output = (step := a_step(execution)), an_output(step)
    result = a_result(execution, [output])
    await keep(twin, other, execution, elsewhere, step, a_step(elsewhere), output, result)
    ids = [twin.id, execution.id, step.id, result.id, output.id, other.id, elsewhere.id]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename } digitalTwins { totalCount } }"

    async def seen() -> list[str | None]:
        found = await ask(query, ids=ids)
        return [node and node["__typename"] for node in found["nodes"]]

    before = await seen()
    await update(ada, twin, public=True)
    published = await seen()
    await update(ada, twin, public=False)
    hidden = await seen()

    assert before == hidden == [None] * 7
    assert published == ["DigitalTwin", "Execution", "Step", "Result", None, None, None]


async def test_another_change_leaves_what_follows_a_twin_alone() -> None:
    (ada,) = await kept(owner := a_user())
    twin = a_twin(owner, public=True)
    await keep(twin, an_execution(twin))
    before = (await everything_kept())["executions"]

    await update(ada, twin, name="lake", public=True)

    assert (await everything_kept())["executions"] == before
