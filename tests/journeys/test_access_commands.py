"""Commands to the database: every read has the viewer's policy, and none has an operator from a client's input."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type, get_nullable_type, is_list_type

import documents
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import make_client, open_database
from graph.core.fields import NODE_VIEWS
from resolvers.access.policies import MATCH_ALL
from resolvers.access.viewer import Role, Viewer
from resolvers.reads import children
from resolvers.reads.semi_join import policy_filter
from tests.journeys.access_commands import Commands, demands, filters, keys, matches
from tests.journeys.access_inputs import MARK, hostile_inputs, mutations
from tests.journeys.access_queries import QUERY, TYPES, every_question, is_paged, narrowed_lists
from tests.journeys.access_world import World, a_world
from tests.support import builders as new
from tests.support.asking import answer, ask, without_comparison

OPERATORS = {
    "$and",
    "$or",
    "$nor",
    "$eq",
    "$in",
    "$nin",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$regex",
    "$exists",
    "$elemMatch",
}
STAGES = {"$match", "$project", "$lookup", "$sort", "$limit", "$unionWith", "$count", "$unwind", "$replaceWith"}
CHANGES = {"$set", "$inc", "$addToSet", "$pull", "$setOnInsert", "$push", "$each", "$slice"}
EXPRESSIONS = {"$ifNull", "$max", "$sum", "$cond", "$toLower", "$group", "$add", "$setUnion", "$literal"}
BY_COLLECTION = {document.Settings.name: document for document in documents.ALL}
PARTS = {
    "jobs": ("generationRef",),
    "usage": ("generationRef",),
    "dailyUsage": ("generationRef",),
    "ingestionParts": ("ingestionRef", "generationRef", "archiveRef"),
}
"""Collections that are read as part of a visible document, by the fields that refer to it."""
TEXTS = [
    f'{{"$ne": "{MARK}"}}',
    f"{MARK}$where",
    f"$where.{MARK}",
    f"$ne.{MARK}",
    f"$expr: {MARK}",
    f"a.{MARK}.$eq",
    f"function () {{ return '{MARK}' }}",
    f".*{MARK}",
    f"(({MARK}",
    f"\\Q{MARK}\\E[",
    f"{MARK}\n$",
]
OBJECTS: list[Any] = [{"$ne": None}, {"$in": [MARK]}, {"$where": MARK}, {"$regex": MARK}, [{"$ne": MARK}], {MARK: 1}]


@pytest.fixture(scope="module")
async def commands(mongod: EmbeddedMongo) -> AsyncIterator[Commands]:
    """Hears a client of its own, to whose database the documents are bound."""
    heard = Commands()
    client = make_client(mongod.uri, event_listeners=[heard])
    database = client[f"test_{uuid4().hex}"]
    await open_database(database)
    yield heard
    await client.drop_database(database)
    await client.close()


@pytest.fixture
async def world(commands: Commands) -> World:
    world = a_world()
    await world.begin()
    commands.heard.clear()
    return world


@pytest.mark.parametrize("name", ["anonymous", "authorised", "worker"])
async def test_every_read_for_somebody_who_may_not_see_everything_carries_their_policy(
    world: World, commands: Commands, name: str
) -> None:
    viewer = world.viewers[name]

    with without_comparison():
        for query in [*every_question(world), *list(narrowed_lists(world))[::4]]:
            await answer(query, viewer)

    read = {collection for command in commands.reads() for collection, _ in matches(command)}
    await assert_each_carries_its_policy(commands, viewer, world)
    assert read >= {"digitalTwins", "executions", "steps", "results", "outputs", "logs", "jobs", "ingestionParts"}


async def test_a_page_of_its_own_for_each_of_many_parents_carries_the_policy_too(
    world: World, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "SINGLE_FIND_LIMIT", 0)
    users = [one for one in world.kept if isinstance(one, documents.User)]
    viewer = Viewer(Role.USER, users[0].id)
    extra = [new.a_twin(user, public=number % 2 == 0) for user in users for number in range(40)]
    await new.keep(*extra)
    for twin in extra:
        world.by_id[twin.id] = twin
    commands.heard.clear()

    shown = await ask("{ users { nodes { id digitalTwins(first: 1) { totalCount nodes { id public } } } } }", viewer)

    counts = {one["id"]: one["digitalTwins"]["totalCount"] for one in shown["users"]["nodes"]}
    twins = [one for one in world.by_id.values() if isinstance(one, documents.DigitalTwin)]
    for user in users:
        assert counts[user.id] == sum(one.owner_ref == user.id and world.sees(viewer, one) for one in twins)
    lookups = [one for one in commands.reads() if one["command"] == "aggregate" and "$lookup" in str(one["pipeline"])]
    assert any("$sort" in str(one["pipeline"]) for one in lookups)
    await assert_each_carries_its_policy(commands, viewer, world)


async def assert_each_carries_its_policy(commands: Commands, viewer: Viewer, world: World) -> None:
    """Assert that every read has its policy, or is part of a document that the viewer may see."""
    reads = list(commands.reads())
    policies = {name: await policy_filter(document, viewer) for name, document in BY_COLLECTION.items()}
    for command in reads:
        for collection, match in matches(command):
            policy = policies[collection]
            carried = policy == MATCH_ALL or demands(match, policy) or _is_a_list_of_parents(command)
            carried = carried or _is_joined_to_its_whole(command, collection)
            assert carried or _is_part_of_what_is_seen(collection, match, viewer, world), command


def _is_part_of_what_is_seen(collection: str, match: Any, viewer: Viewer, world: World) -> bool:
    """Whether only what belongs to certain things is read, each of which the viewer may see."""
    # Objects that were shown already are where a lineage begins.
    paths = PARTS.get(collection, ("_id",))
    owners = [one[path] for path in paths for one in (match, *match.get("$and", ())) if path in one]
    lists = [owner.get("$in", [owner.get("$eq")]) for owner in owners if owner.keys() & {"$in", "$eq"}]
    return bool(lists) and all(world.sees(viewer, world.by_id[id]) for ids in lists for id in ids)


def _is_joined_to_its_whole(command: dict[str, Any], collection: str) -> bool:
    """Whether a pipeline reads parts of objects by what refers to these, which a stage before has to find."""
    joins = [stage["$lookup"] for stage in command.get("pipeline", ()) if "$lookup" in stage]
    return any(join["from"] == collection and join.get("foreignField") in PARTS.get(collection, ()) for join in joins)


def _is_a_list_of_parents(command: dict[str, Any]) -> bool:
    """Whether a pipeline takes nothing but values of objects that were read already, to find their children."""
    match command.get("pipeline"):
        case [{"$match": condition}, {"$project": {"_id": 1, **others}}, {"$lookup": _}]:
            return list(condition) == ["_id"] and not others
        case [{"$match": condition}, {"$group": {"_id": value, **others}}, {"$lookup": _}]:
            return [f"${path}" for path in condition] == [value] and not others
    return False


def assert_no_operator_is_a_clients(commands: Commands) -> None:
    """Operators are ours, and what a client sent stands only where values stand."""
    for command in commands.heard:
        for found in filters(command):
            names = set(keys(found))
            assert not [name for name in names if MARK in name], command
            assert {name for name in names if name.startswith("$")} <= OPERATORS | STAGES | CHANGES | EXPRESSIONS, (
                command
            )
        stored = set(keys(command.get("documents", [])))
        assert not [name for name in stored if MARK in name or name.startswith("$")], command


BESIDE = {
    ("dataset", "resourceId"): 'identifier: "a"',
    ("dataset", "identifier"): 'resourceId: "resource_000000000000000000000001"',
    ("externalData", "version"): 'url: "https://files.example/a.csv"',
    ("codeImpact", "repository"): f'commits: ["{new.COMMIT}"]',
    ("codeImpact", "commits"): f'repository: "{new.REPOSITORY}"',
    **{
        ("codeImpact", other): f'repository: "{new.REPOSITORY}" commits: ["{new.COMMIT}"]'
        for other in ("path", "first", "after", "last", "before")
    },
}
"""What an argument needs beside it, without which it is refused before anything is looked up."""


async def test_hostile_texts_in_every_argument_stay_values(world: World, commands: Commands) -> None:
    for name, field in QUERY.fields.items():
        below = "{ pageInfo { endCursor } }" if is_paged(field) else "{ __typename }"
        for argument, given in field.args.items():
            beside = BESIDE.get((name, argument), "")
            query = f"query ($value: {given.type}) {{ {name}({argument}: $value {beside}) {below} }}"
            for number, values in enumerate(zip(*(_places(given.type, text) for text in TEXTS), strict=True)):
                # Every text in the first places of an argument, some of them in each of the rest.
                for value in values if number < 3 else values[number % 3 :: 3]:
                    with without_comparison():
                        found = await answer(query, value=value)
                    refused = ["BAD_USER_INPUT"] if name == "codeImpact" else ["BAD_CURSOR"]
                    codes = [one["extensions"]["code"] for one in found.get("errors", ())]
                    assert codes in ([], ["BAD_CURSOR"], refused), (name, argument, value)

    assert_no_operator_is_a_clients(commands)
    assert MARK in str(commands.heard)


def _places(type_: Any, text: str, depth: int = 2) -> list[Any]:
    """Values of a type with the text wherever a text can stand, one place at a time."""
    named: Any = get_named_type(type_)
    if is_list_type(get_nullable_type(type_)):
        return [[value] for value in _places(get_nullable_type(type_).of_type, text, depth)]
    if isinstance(named, GraphQLInputObjectType):
        inside = ((name, field.type) for name, field in named.fields.items() if depth)
        return [{name: value} for name, inner in inside for value in _places(inner, text, depth - 1)]
    if isinstance(named, GraphQLEnumType):
        return []
    return [text] if named.name in ("ID", "String") else []


async def test_objects_in_the_place_of_ids_and_texts_are_refused_before_the_database_hears_of_them(
    world: World, commands: Commands
) -> None:
    queries = [
        "query ($value: ID!) { node(id: $value) { id } }",
        "query ($value: ID!) { nodes(ids: [$value]) { id } }",
        "query ($value: ID) { user(id: $value) { id } }",
        "query ($value: String) { user(displayName: $value) { id } }",
        "query ($value: String) { digitalTwins(after: $value) { nodes { id } } }",
        "query ($value: String) { digitalTwins(where: { name: { eq: $value } }) { nodes { id } } }",
        "query ($value: [String!]) { digitalTwins(where: { name: { in: $value } }) { nodes { id } } }",
        "query ($value: ID) { executions(where: { digitalTwinId: { eq: $value } }) { nodes { id } } }",
    ]

    for value in OBJECTS:
        for query in queries:
            found = await answer(query, value=value)
            assert found["data"] is None, query
            assert found["errors"]

    assert commands.heard == []


async def test_a_number_in_the_place_of_an_id_is_a_text(world: World, commands: Commands) -> None:
    shown = await ask("{ node(id: 5) { id } user(id: 7) { id } }")

    assert shown == {"node": None, "user": None}
    assert "'7'" in str(commands.heard)
    assert_no_operator_is_a_clients(commands)


async def test_hostile_values_in_every_mutation_stay_values(world: World, commands: Commands) -> None:
    for name, field in mutations():
        for given in hostile_inputs(field, world):
            query = f"mutation ($input: {field.args['input'].type}) {{ {name}(input: $input) {{ __typename }} }}"
            for role in (Role.WORKER, Role.ADMIN):
                found = await answer(query, Viewer(role, world.viewers["owner"].user_id), input=given)
                assert not [
                    one for one in found.get("errors", ()) if one["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
                ], (name, given, found)

    assert_no_operator_is_a_clients(commands)
    assert MARK in str([one for one in commands.heard if one["command"] == "insert"])


async def test_only_what_has_a_view_is_found_by_its_id(world: World, commands: Commands) -> None:
    kinds = [document.kind for document in documents.ALL if document.kind not in NODE_VIEWS]
    ids = [f"{kind}_000000000000000000000001" for kind in kinds] + world.ids(documents.LogEntry)

    for viewer in world.viewers.values():
        shown = await ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", viewer, ids=ids)
        assert shown["nodes"] == [None] * len(ids)

    assert sorted(kinds) == [
        "daily",
        "file",
        "former",
        "imported",
        "log",
        "part",
        "quota",
        "rejection",
        "reservation",
        "upload",
        "usage",
    ]
    assert commands.heard == []
    assert "IdempotencyKey" not in TYPES
    assert "hash" not in TYPES["Token"].fields
