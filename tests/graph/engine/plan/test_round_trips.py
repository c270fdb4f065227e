"""A level is one round trip, by plan and by the reference, whatever the number of rows above it."""

from collections import Counter

import pytest

from graph.engine.plan import nested_reads
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ADMIN, as_written, by_plan, by_reference
from tests.support.graph_world import a_world

pytestmark = pytest.mark.usefixtures("database")

CATALOGUE = """organisations(first: 100) { %s nodes { name resources(first: 100) { %s nodes { title
  datasets(first: 100) { %s nodes { identifier versions(first: 100) { %s nodes { label
    distribution { sha256 transform { status } } } } } } } } } }"""
TWINS = """users(first: 100) { %s nodes { displayName digitalTwins(first: 100) { %s nodes { name
  executions(first: 100) { %s nodes { title steps(first: 100) { %s nodes { key
    componentVersion { version component { title } } outputs(first: 100) { nodes { fileName } } } } } } } } } }"""
OF_CATALOGUE = ["organisations", "resources", "datasets", "dataset_versions", "distributions", "transforms"]
OF_TWINS = ["users", "digitalTwins", "executions", "steps", "versions", "components", "outputs"]
BELOW = "id displayName digitalTwins { nodes { name executions { nodes { title } } } }"


async def trips(round_trips: RoundTrips, query: str, **variables: object) -> Counter[str]:
    """The number of reads from each collection, which must be the same by plan and by reference."""
    with round_trips.counting() as planned:
        answer = await by_plan(query, ADMIN, **variables)
    with round_trips.counting() as reference:
        expected = await by_reference(query, ADMIN, **variables)
    assert as_written({"data": answer}) == as_written(expected)
    assert sorted(planned) == sorted(reference)
    return Counter(collection for _, collection in planned)


async def trips_by_plan(round_trips: RoundTrips, query: str) -> Counter[str]:
    """The number of a plan's reads from each collection; the reference may need others for the same answer."""
    with round_trips.counting() as planned:
        answer = await by_plan(query, ADMIN)
    assert as_written({"data": answer}) == as_written(await by_reference(query, ADMIN))
    return Counter(collection for _, collection in planned)


@pytest.mark.parametrize(
    ("chain", "levels"), [(CATALOGUE, OF_CATALOGUE), (TWINS, OF_TWINS)], ids=["catalogue", "twins"]
)
async def test_every_level_of_a_chain_is_one_find(round_trips: RoundTrips, chain: str, levels: list[str]) -> None:
    await a_world().begin()

    assert await trips(round_trips, f"{{ {chain % ('', '', '', '')} }}") == Counter(levels)


@pytest.mark.parametrize(
    ("chain", "levels"), [(CATALOGUE, OF_CATALOGUE), (TWINS, OF_TWINS)], ids=["catalogue", "twins"]
)
async def test_counts_of_a_level_are_one_round_trip_more(
    round_trips: RoundTrips, chain: str, levels: list[str]
) -> None:
    await a_world().begin()

    found = await trips(round_trips, f"{{ {chain % (('totalCount',) * 4)} }}")

    # The counts under parents are looked up from the parents' collection.
    assert found.total() == len(levels) + 4
    assert found == Counter(levels) + Counter([levels[0], *levels[:3]])


@pytest.mark.parametrize("page", ["first: 2", "last: 2", "first: 2, orderBy: [{ field: START_TIMESTAMP }]"])
@pytest.mark.parametrize("twins", [1, 30])
async def test_pages_under_any_number_of_parents_are_one_find(round_trips: RoundTrips, page: str, twins: int) -> None:
    await new.a_tree(2, twins=twins, executions=4)

    below = f"executions({page}) {{ nodes {{ title }} }}"

    found = await trips(
        round_trips, f"{{ users {{ nodes {{ digitalTwins(first: 100) {{ nodes {{ {below} }} }} }} }} }}"
    )

    assert found == Counter(["users", "digitalTwins", "executions"])


async def test_beside_very_many_rows_a_level_is_read_for_some_of_them_after_the_other(
    round_trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new.a_tree(5, twins=2, executions=2)
    monkeypatch.setattr(nested_reads, "READ_BATCH_SIZE", 4)

    planned = await trips_by_plan(round_trips, f"{{ users {{ nodes {{ {BELOW} }} }} }}")

    # Of four users and of the fifth; below their eight twins, four by four, and below the last two.
    assert planned == {"users": 1, "digitalTwins": 2, "executions": 3}


async def test_beside_many_rows_a_level_is_read_in_lanes_each_with_all_below_it(
    round_trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new.a_tree(7, twins=2, executions=2)
    monkeypatch.setattr(nested_reads, "MIN_ROWS_TO_PARTITION", 6)

    planned = await trips_by_plan(round_trips, f"{{ users {{ nodes {{ {BELOW} }} }} }}")

    # Of three, three and one user, and in each partition of all their twins, though these may be more than six.
    assert planned == {"users": 1, "digitalTwins": 3, "executions": 3}


async def test_a_node_and_what_is_below_it_are_one_find_a_level(round_trips: RoundTrips) -> None:
    tree = await new.a_tree(3, twins=2, executions=2)

    found = await trips(
        round_trips, f"query ($id: ID!) {{ node(id: $id) {{ ... on User {{ {BELOW} }} }} }}", id=tree.users[0].id
    )

    assert found == Counter(["users", "digitalTwins", "executions"])


async def test_nodes_are_one_find_a_kind_however_many_ids_there_are(round_trips: RoundTrips) -> None:
    tree = await new.a_tree(30, twins=1, executions=1)
    ids = [one.id for one in (*tree.users, *tree.twins, *tree.executions)]
    query = f"""query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ __typename
      ... on User {{ {BELOW} }} ... on DigitalTwin {{ name }}
      ... on Execution {{ title digitalTwin {{ name }} }} }} }}"""

    found = await trips(round_trips, query, ids=ids)

    # Of twins: those asked for, those below the users, and those above the executions.
    assert found == Counter({"users": 1, "digitalTwins": 3, "executions": 2})


async def test_independent_branches_cost_their_own_levels_and_no_more(round_trips: RoundTrips) -> None:
    await a_world().begin()
    below = "title steps { nodes { key } } results { nodes { title } }"
    query = f"{{ a: users {{ nodes {{ id }} }} executions {{ nodes {{ {below} }} }} }}"

    assert await trips(round_trips, query) == Counter(["users", "executions", "steps", "results"])
