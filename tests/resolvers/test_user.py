"""Writing users, as a client does, and who sees what of them."""

from typing import Any

import pytest

from resolvers.viewer import ANONYMOUS, Role, Viewer
from tests.asking import ADMIN, WORKER, ask
from tests.builders import a_user, everything_kept, keep

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
        (ANONYMOUS, "Anonymous callers write nothing: send an API token or sign in."),
        (Viewer(Role.USER, "user_x"), "This takes the role ADMIN; yours is USER."),
        (WORKER, "This takes the role ADMIN; yours is WORKER."),
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
