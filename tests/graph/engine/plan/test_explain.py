"""`provenance-graph explain` says what a query reads, without a database."""

from pathlib import Path

import pytest

from graph.commands.explain import Unexplained, explanation
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support.running import command, environment

DEEP = """query Deep($few: Int) { users(first: 100) { nodes { id displayName
  digitalTwins(first: 3) { totalCount nodes { name
    executions(first: $few, orderBy: [{ field: START_TIMESTAMP, direction: ASC }]) { nodes { title
      steps(last: 2) { nodes { key startedAt dependents { key }
        outputs { edges { cursor node { fileName accessControl { authorizedUsers { email } } } } } } } } } } } } } }"""

EXPLAINED = """\
Query
└─ users: pages of users
   │  filter  {}
   │  fields  _id, displayName
   │  order   _id up
   │  page    first 100 and one more: one find
   ├─ digitalTwins: pages of digitalTwins
   │  │  by      userRef in ids of the rows above
   │  │  filter  {"$or":[{"public":true},{"userRef":"user_of_the_token"},{"readerRefs":"user_of_the_token"}]}
   │  │  fields  _id, name, userRef
   │  │  order   _id up
   │  │  page    first 3 and one more for each: one find for all, one aggregation beyond 10,000 rows
   │  └─ executions: pages of executions
   │     │  by      digitalTwinRef in ids of the rows above
   │     │  filter  {"$or":[{"public":true},{"ownerRef":"user_of_the_token"},{"readerRefs":"user_of_the_token"}]}
   │     │  fields  _id, digitalTwinRef, start_timestamp, title
   │     │  order   start_timestamp up, _id up
   │     │  page    first 5 and one more for each: one find for all, one aggregation beyond 10,000 rows
   │     └─ steps: pages of steps
   │        │  by      executionRef in ids of the rows above
   │        │  filter  {"$or":[{"public":true},{"ownerRef":"user_of_the_token"},{"readerRefs":"user_of_the_token"}]}
   │        │  fields  _id, executionRef, key, ordinal, start_timestamp
   │        │  order   ordinal down, _id down
   │        │  page    last 2 and one more for each: one find for all, one aggregation beyond 10,000 rows
   │        ├─ dependents: one find in steps
   │        │     by      dependsOn in ids of the rows above
   │        │     filter  {"$or":[{"public":true},{"ownerRef":"user_of_the_token"},{"readerRefs":"user_of_the_token"}]}
   │        │     fields  _id, dependsOn, key, ordinal
   │        │     order   ordinal up, _id up
   │        └─ outputs: pages of outputs
   │           │  by      stepRef in ids of the rows above
   │           │  filter  {"$or":[{"access_control.public":true},{"ownerRef":"user_of_the_token"},\
{"readerRefs":"user_of_the_token"},{"access_control.authorized_users":"user_of_the_token"}]}
   │           │  fields  _id, access_control.authorized_users, file_name, ownerRef, stepRef
   │           │  order   _id up
   │           │  page    first 20 and one more for each: one find for all, one aggregation beyond 10,000 rows
   │           └─ authorizedUsers: computed by resolvers.twins.readers.authorized_users, reading for all rows at once
   │              └─ email: computed by resolvers.twins.user.emails, without reading
   └─ digitalTwins: counts of digitalTwins
         by      userRef in ids of the rows above
         filter  {"$or":[{"public":true},{"userRef":"user_of_the_token"},{"readerRefs":"user_of_the_token"}]}
         count   one aggregation for all, null beyond 10,000
"""


def test_the_command_prints_the_levels_of_a_file_as_a_tree(tmp_path: Path) -> None:
    file = tmp_path / "deep.graphql"
    file.write_text(DEEP)
    # No such database is there to be asked.
    env = environment(tmp_path, {"PROVENANCE_DATABASE_URL": "mongodb://127.0.0.1:1"})

    ended = command("explain", str(file), "--variables", '{"few": 5}', "--viewer", "user", env=env)

    assert ended.stdout == EXPLAINED
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_command_says_why_there_is_nothing_to_explain(tmp_path: Path) -> None:
    ended = command("explain", "{ users { nothing } }", env=environment(tmp_path))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Cannot query field 'nothing' on type 'UserConnection'.\n"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("{ users(first: 101) { totalCount } }", "first must be between 0 and 100, not 101."),
        ("{ __schema { description } }", "There is no plan, the standard executor answers: Query.__schema is not"),
        ("query ($id: ID!) { user(id: $id) { id } }", "The query's variables are missing or do not fit"),
        ("query A { users { totalCount } } query B { users { totalCount } }", "The document has several operations"),
    ],
)
def test_what_has_no_plan_is_explained_by_the_reason(query: str, reason: str) -> None:
    with pytest.raises(Unexplained) as caught:
        explanation(query, {}, ANONYMOUS)

    assert str(caught.value).startswith(reason)


def test_filters_show_the_policy_of_each_viewer() -> None:
    def filters(viewer: Viewer) -> list[str]:
        query = '{ digitalTwins(where: { name: { eq: "a" } }) { nodes { id } } }'
        return [line.split("filter  ")[1] for line in explanation(query, {}, viewer) if "filter" in line]

    asked = '{"name":{"$eq":"a"}}'
    assert filters(ANONYMOUS) == [f'{{"$and":[{{"public":true}},{asked}]}}']
    assert filters(Viewer(Role.WORKER)) == filters(ANONYMOUS)
    assert filters(Viewer(Role.ADMIN)) == [asked]


def test_nodes_are_one_find_for_each_kind_of_id() -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Step { component: componentVersion { version } } } }"

    found = explanation(query, {"ids": ["user_1", "step_1", "user_2", "nothing"]}, Viewer(Role.ADMIN))

    assert found == [
        "Query",
        "├─ nodes: one find in users",
        '│     by      _id in ["user_1","user_2"]',
        "│     filter  {}",
        "│     fields  _id",
        "└─ nodes: one find in steps",
        '   │  by      _id in ["step_1"]',
        "   │  filter  {}",
        "   │  fields  _id, component_version",
        "   └─ component: one find in versions",
        "         by      _id in what component_version names",
        "         filter  {}",
        "         fields  _id, version",
    ]
