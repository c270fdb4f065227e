"""Queries for one object by a variable take a shorter path, with the answers of the others."""

from typing import Any

import pytest

import documents
from graph.engine.prepare import DocumentCache
from graph.schema import schema
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support.builders import a_user, an_instance, keep
from tests.support.executors import Both

pytestmark = pytest.mark.usefixtures("database")

POINT = "query One($id: ID!) { user(id: $id) { id displayName } }"
DOCUMENT_CACHE = DocumentCache(schema)


@pytest.mark.parametrize(
    "query",
    [
        POINT,
        "query($id: ID!) { user(id: $id) { __typename shown: displayName ...More } } fragment More on User { github }",
        "query($url: String!) { it: organisation(url: $url) { name } }",
        "query($name: String) { user(displayName: $name) { id } }",
    ],
)
def test_a_lookup_by_a_variable_is_a_point(query: str) -> None:
    assert DOCUMENT_CACHE.prepare(query).point_lookup is not None


@pytest.mark.parametrize(
    "query",
    [
        '{ user(id: "user_0") { id } }',
        "{ users { nodes { id } } }",
        "query($id: ID!) { user(id: $id) { digitalTwins { nodes { id } } } }",
        "query($id: ID!) { user(id: $id) { id } other: user(id: $id) { github } }",
        "query($id: ID!) { user(id: $id) { id } users { totalCount } }",
        "query($id: ID!, $deep: Boolean!) { user(id: $id) { id github @include(if: $deep) } }",
        "query($id: ID!) { node(id: $id) { id } }",
        "query A($id: ID!) { user(id: $id) { id } } query B { users { totalCount } }",
        "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
        "query($first: Int) { users(first: $first) { totalCount } }",
    ],
)
def test_all_else_is_none(query: str) -> None:
    assert DOCUMENT_CACHE.prepare(query).point_lookup is None


async def a_stored_user() -> documents.User:
    user = a_user()
    await keep(user)
    return user


async def test_a_point_shows_what_there_is_and_null_for_what_there_is_not() -> None:
    user, both = await a_stored_user(), Both()

    found, missing = await both.same(POINT, id=user.id), await both.same(POINT, id="user_0")

    assert found.data == {"user": {"id": user.id, "displayName": user.display_name}}
    assert missing.data == {"user": None}
    assert (found.by, missing.by) == ("planned", "planned")


async def test_a_point_shows_nobody_what_they_may_not_see() -> None:
    owner = a_user()
    server = an_instance(owner, public=False)
    await keep(owner, server)
    both, query = Both(), "query($id: ID!) { instance(id: $id) { id } }"

    answers = [await both.same(query, viewer, id=server.id) for viewer in (ANONYMOUS, Viewer(Role.USER, owner.id))]

    assert [answer.data["instance"] for answer in answers] == [None, {"id": server.id}]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"id": None},
        {"id": 7},
        {"id": True},
        {"id": ["user_0"]},
        {"id": {"$ne": ""}},
        {"id": ""},
        {"id": "a\0b"},
        {"id": "user_0", "more": 1},
        {"id": "user_0", "more": "a\0b"},
        {"ID": "user_0"},
        {"id": 2**63},
    ],
)
async def test_whatever_is_given_is_answered_as_by_the_reference(given: dict[str, Any]) -> None:
    answers = await Both().post({"query": POINT, "variables": given})

    assert answers.planned == answers.reference


@pytest.mark.parametrize(
    "more",
    [
        {"operationName": "One"},
        {"operationName": "Other"},
        {"operationName": ""},
        {"operationName": None},
        {"extensions": {"cost": True}},
        {"extensions": {}},
    ],
)
async def test_names_and_extensions_are_heeded(more: dict[str, Any]) -> None:
    user = await a_stored_user()

    answers = await Both().post({"query": POINT, "variables": {"id": user.id}, **more})

    assert answers.planned == answers.reference
    assert (b"cost" in answers.planned) == ("cost" in more.get("extensions", ()))


async def test_a_row_that_may_not_be_shown_is_left_to_the_reference() -> None:
    user = await a_stored_user()
    await documents.User.get_pymongo_collection().update_one({"_id": user.id}, {"$unset": {"displayName": ""}})

    answers = await Both().ask(POINT, id=user.id)

    assert answers.agree
    assert (answers.by, answers.has_errors) == ("stepped-aside", True)
