"""Selections of every form, one by one: what generated queries seldom hit."""

from typing import Any

import pytest

from tests.support.asking import ADMIN
from tests.support.builders import a_tree
from tests.support.executors import Both

pytestmark = pytest.mark.usefixtures("database")

THREE = """query ($id: ID!) { node(id: $id) { ...A ...B ...C ...A } }
  fragment A on Node { id } fragment B on User { ...C displayName } fragment C on User { github }"""
ON_ANOTHER = "query ($id: ID!) { node(id: $id) { __typename ... on Activity { worker } ... on Step { key } } }"
TWICE = """query ($id: ID!) { user(id: $id) { digitalTwins { nodes { id } } ... { digitalTwins { totalCount } }
  ... on Node { id } digitalTwins { nodes { name } } } }"""
TWO_NODES = """query ($id: ID!) { a: node(id: $id) { id } b: node(id: $id) { __typename ... on User { github } }
  c: nodes(ids: [$id]) { id } }"""
NULLABLE = "query ($id: ID!, $shown: Boolean = true) { user(id: $id) { id github @include(if: $shown) } }"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (THREE, {"node": ["id", "github", "displayName"]}),
        (ON_ANOTHER, {"node": ["__typename"]}),
        (TWICE, {"user": ["digitalTwins", "id"]}),
        (NULLABLE, {"user": ["id", "github"]}),
    ],
    ids=["several fragments", "an interface that the type lacks", "a field twice", "a default condition"],
)
async def test_fields_come_in_the_order_of_their_first_appearance(query: str, expected: dict[str, list[str]]) -> None:
    tree = await a_tree(1)

    answers = await Both().same(query, ADMIN, id=tree.users[0].id)

    assert answers.by == "planned"
    assert {name: list(row) for name, row in answers.data.items()} == expected


async def test_two_lookups_of_a_kind_show_what_each_asks_for() -> None:
    tree = await a_tree(1)
    id = tree.users[0].id

    answers = await Both().same(TWO_NODES, ADMIN, id=id)

    assert answers.by == "planned"
    assert answers.data == {"a": {"id": id}, "b": {"__typename": "User", "github": None}, "c": [{"id": id}]}


@pytest.mark.parametrize(
    ("variables", "by", "shown"),
    [
        ({"shown": True}, "planned", True),
        ({"shown": False}, "planned", False),
        ({"shown": None}, "stepped-aside", None),
    ],
)
async def test_a_condition_that_is_null_is_an_error(variables: dict[str, Any], by: str, shown: bool | None) -> None:
    tree = await a_tree(1)
    both = Both()
    await both.same(NULLABLE, ADMIN, id=tree.users[0].id)

    answers = await both.same(NULLABLE, ADMIN, id=tree.users[0].id, **variables)

    assert answers.by == by
    assert answers.has_errors is (shown is None)
    assert shown is None or ("github" in answers.data["user"]) is shown


PAGE = """query ($first: Int, $after: String) { users(first: $first, after: $after, orderBy: [{ field: CREATED_AT }]) {
  edges { cursor a: node { id } b: node { displayName __typename } } nodes { github } __typename
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor __typename } totalCount } }"""


async def test_a_page_in_the_middle_knows_its_rows_and_what_lies_on_both_sides() -> None:
    tree = await a_tree(3)
    both = Both()
    start = (await both.same(PAGE, ADMIN, first=1)).data["users"]
    answers = await both.same(PAGE, ADMIN, first=5, after=start["pageInfo"]["endCursor"])

    page = answers.data["users"]

    assert answers.by == "planned"
    assert [edge["a"]["id"] for edge in page["edges"]] == [user.id for user in tree.users[1:]]
    assert [edge["b"]["displayName"] for edge in page["edges"]] == [user.display_name for user in tree.users[1:]]
    assert (page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]) == (True, False)
    assert (start["pageInfo"]["hasPreviousPage"], start["pageInfo"]["hasNextPage"]) == (False, True)
