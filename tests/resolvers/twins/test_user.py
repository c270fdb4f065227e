"""Writing users, as a client does, and who sees what of them."""

from typing import Any

import pytest

from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import a_user, everything_kept, keep

pytestmark = pytest.mark.usefixtures("database")

CREATE = """mutation($input: CreateUserInput!) { createUser(input: $input) {
  user { id displayName email github } userErrors { code message path } } }"""
ADA = {"displayName": "ada", "email": "ada@people.example"}


async def create(viewer: Viewer = ADMIN, /, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(CREATE, viewer, input=given))["createUser"]
    return found


async def test_an_administrator_records_a_user() -> None:
    found = await create(displayName=" ada ", email="ada@people.example", github="ada-l")

    assert found["userErrors"] == []
    id = found["user"].pop("id")
    assert id.startswith("user_")
    assert found["user"] == {"displayName": "ada", "email": "ada@people.example", "github": "ada-l"}
    assert (await ask('{ user(displayName: "ada") { id } }'))["user"] == {"id": id}


@pytest.mark.parametrize(
    ("viewer", "message"),
    [
        (ANONYMOUS, "Anonymous callers cannot write: send an API token or sign in."),
        (Viewer(Role.USER, "user_x"), "This requires the role ADMIN; yours is USER."),
        (WORKER, "This requires the role ADMIN; yours is WORKER."),
    ],
)
async def test_nobody_else_records_users(viewer: Viewer, message: str) -> None:
    found = await create(viewer, **ADA)

    assert found == {"user": None, "userErrors": [{"code": "FORBIDDEN", "message": message, "path": ["input"]}]}
    assert (await everything_kept())["users"] == []


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"displayName": "  "}, "displayName"),
        ({"displayName": "two\nlines"}, "displayName"),
        ({"email": "nobody"}, "email"),
        ({"email": "@people.example"}, "email"),
        ({"email": "ada@"}, "email"),
        ({"email": "a da@people.example"}, "email"),
        ({"github": ""}, "github"),
    ],
)
async def test_values_that_cannot_be_taken_are_refused(wrong: dict[str, str], path: str) -> None:
    found = await create(**(ADA | wrong))

    assert [(error["code"], error["path"]) for error in found["userErrors"]] == [("VALIDATION", ["input", path])]
    assert (await everything_kept())["users"] == []


async def test_a_name_that_is_taken_is_refused() -> None:
    await keep(a_user(display_name="ada"))
    before = await everything_kept()

    found = await create(**ADA)

    assert found == {
        "user": None,
        "userErrors": [
            {
                "code": "ALREADY_EXISTS",
                "message": "A user called ada exists already.",
                "path": ["input", "displayName"],
            }
        ],
    }
    assert await everything_kept() == before


async def test_the_same_key_records_a_user_once() -> None:
    first = await create(**ADA, idempotencyKey="k")
    second = await create(**ADA, idempotencyKey="k")

    assert second == first
    assert len((await everything_kept())["users"]) == 1


async def test_an_address_is_shown_to_its_user_and_to_administrators_alone() -> None:
    ada, bob = a_user(display_name="ada"), a_user(display_name="bob")
    await keep(ada, bob)

    async def seen(viewer: Viewer) -> list[str | None]:
        return [user["email"] for user in (await ask("{ users { nodes { email } } }", viewer))["users"]["nodes"]]

    assert await seen(ANONYMOUS) == [None, None]
    assert await seen(WORKER) == [None, None]
    assert await seen(Viewer(Role.USER, ada.id)) == [ada.email, None]
    assert await seen(ADMIN) == [ada.email, bob.email]


async def test_a_viewer_is_told_who_they_are() -> None:
    ada = a_user(display_name="ada")
    await keep(ada)
    query = "{ viewer { role user { displayName email } } }"

    assert await ask(query) == {"viewer": {"role": "ANONYMOUS", "user": None}}
    assert await ask(query, WORKER) == {"viewer": {"role": "WORKER", "user": None}}
    assert await ask(query, Viewer(Role.USER, ada.id)) == {
        "viewer": {"role": "USER", "user": {"displayName": "ada", "email": ada.email}}
    }


UPDATE = """mutation($input: UpdateUserInput!) { updateUser(input: $input) {
  user { id displayName email github } userErrors { code message path } } }"""


async def update(viewer: Viewer, user: str, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(UPDATE, viewer, input={"id": user, **given}))["updateUser"]
    return found


async def test_a_user_changes_their_own_name_and_addresses_and_an_administrator_those_of_anybody() -> None:
    user = a_user(display_name="ada", github="ada-l")
    await keep(user)

    by_themselves = await update(Viewer(Role.USER, user.id), user.id, displayName=" ada l. ", email="a@new.example")
    by_administrator = await update(ADMIN, user.id, github=None, email=None)

    shown = {"id": user.id, "displayName": "ada l.", "email": "a@new.example", "github": "ada-l"}
    assert by_themselves == {"user": shown, "userErrors": []}
    assert by_administrator["user"] == shown | {"email": None, "github": None}
    assert (await ask('{ user(displayName: "ada l.") { id } }'))["user"] == {"id": user.id}


async def test_a_change_of_a_user_that_changes_nothing_writes_nothing() -> None:
    user = a_user(display_name="ada")
    await keep(user)
    before = await everything_kept()

    same = await update(ADMIN, user.id, displayName="ada", email=user.email)
    nothing = await update(ADMIN, user.id)

    assert same["user"] == nothing["user"] == {"id": user.id, "displayName": "ada", "email": user.email, "github": None}
    assert await everything_kept() == before


async def test_nobody_changes_somebody_else() -> None:
    ada, bob = a_user(), a_user()
    await keep(ada, bob)
    before = await everything_kept()

    refused = {
        "somebody else": await update(Viewer(Role.USER, bob.id), ada.id, displayName="mine"),
        "unknown": await update(ADMIN, "user_unknown", displayName="mine"),
        "anonymous": await update(ANONYMOUS, ada.id, displayName="mine"),
        "their worker": await update(Viewer(Role.WORKER, ada.id), ada.id, displayName="mine"),
    }

    told = {who: (found["userErrors"][0]["code"], found["userErrors"][0]["path"]) for who, found in refused.items()}
    assert told == {
        "somebody else": ("FORBIDDEN", ["input", "id"]),
        "unknown": ("NOT_FOUND", ["input", "id"]),
        "anonymous": ("FORBIDDEN", ["input"]),
        "their worker": ("FORBIDDEN", ["input"]),
    }
    assert await everything_kept() == before


@pytest.mark.parametrize(
    ("wrong", "code", "path"),
    [
        ({"displayName": "bob", "email": "new@people.example"}, "ALREADY_EXISTS", "displayName"),
        ({"displayName": None}, "VALIDATION", "displayName"),
        ({"displayName": "two\nlines"}, "VALIDATION", "displayName"),
        ({"email": "nobody"}, "VALIDATION", "email"),
        ({"github": " "}, "VALIDATION", "github"),
    ],
)
async def test_a_user_is_not_changed_to_what_cannot_be_taken(wrong: dict[str, Any], code: str, path: str) -> None:
    user = a_user(display_name="ada")
    await keep(user, a_user(display_name="bob"))
    before = await everything_kept()

    found = await update(Viewer(Role.USER, user.id), user.id, **wrong)

    assert [(error["code"], error["path"]) for error in found["userErrors"]] == [(code, ["input", path])]
    assert found["user"] is None
    assert await everything_kept() == before
