"""Looking up one thing by a unique key, and lists of everything of a kind."""

from typing import Any

import pytest
from strawberry.utils.str_converters import to_camel_case

import documents
from documents.migrations.indexes import declared_indexes as declared_indexes
from graph.core.fields import NODE_VIEWS
from graph.core.projection import STRAWBERRY_FIELD
from graph.engine.prepare import DocumentCache
from graph.schema import schema
from resolvers.access.policies import readable
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.reads.relations import AllDocuments
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, ask, refusal
from tests.support.builders import (
    a_component,
    a_component_version,
    a_step,
    a_twin,
    a_user,
    an_execution,
    an_output,
    keep,
)
from tests.support.graph_world import a_world

pytestmark = pytest.mark.usefixtures("database")

ROOT: dict[str, Any] = schema._schema.query_type.fields  # type: ignore[union-attr]
BY_KEY = "query($r: ID, $i: String) { dataset(resourceId: $r, identifier: $i) { id } }"


async def two_resources_with_births() -> list[documents.Dataset]:
    """A dataset `births` of each of two resources, and another one of the first."""
    office = documents.Organisation(url="https://office.example")
    resources = [documents.Resource(organisation_ref=office.id, title=title) for title in ("one", "two")]
    named = [(resources[0], "births"), (resources[1], "births"), (resources[0], "deaths")]
    datasets = [documents.Dataset(resource_ref=resource.id, identifier=name) for resource, name in named]
    await keep(office, *resources, *datasets)
    return datasets


@pytest.mark.parametrize("kind", NODE_VIEWS)
async def test_everything_with_an_identity_is_looked_up_by_its_id_as_its_viewer_may_see_it(kind: str) -> None:
    world, name = a_world(), to_camel_case(NODE_VIEWS[kind][0].lower() + NODE_VIEWS[kind][1:])
    await world.begin()
    query = f"query($id: ID!) {{ {name}(id: $id) {{ __typename id }} node(id: $id) {{ __typename id }} }}"
    seen = set()

    for id in [*world.ids(kind)[:5], f"{kind}_ffffffffffffffffffffffff"]:
        for viewer in world.viewers.values():
            found = await ask(query, viewer, id=id)
            assert found[name] == found["node"]
            seen.add(found[name] is not None)

    assert seen == {True, False}


async def test_a_dataset_is_looked_up_by_its_resource_and_identifier(round_trips: RoundTrips) -> None:
    births, others, _ = await two_resources_with_births()
    unknown = {"r": births.resource_ref, "i": "marriages"}

    with round_trips.counting() as seen:
        found = await ask(BY_KEY, r=births.resource_ref, i="births")

    assert found == {"dataset": {"id": births.id}}
    assert seen == [("find", "datasets")]
    assert await ask(BY_KEY, r=others.resource_ref, i="births") == {"dataset": {"id": others.id}}
    assert await ask(BY_KEY, **unknown) == {"dataset": None}


@pytest.mark.parametrize("given", [{}, {"i": "births"}, {"r": "resource_1"}, {"r": None, "i": "births"}])
async def test_half_of_a_key_is_refused(given: dict[str, str | None]) -> None:
    await two_resources_with_births()

    assert await refusal(BY_KEY, **given) == ("BAD_USER_INPUT", "Give id, or resourceId and identifier.")


@pytest.mark.parametrize("argument", ["resourceId: $key", "identifier: $key"])
def test_half_of_a_key_is_not_looked_up_the_short_way(argument: str) -> None:
    kind = "ID" if "resource" in argument else "String"
    prepared = DocumentCache(schema).prepare(f"query($key: {kind}) {{ dataset({argument}) {{ id }} }}")
    whole = DocumentCache(schema).prepare("query($key: ID) { dataset(id: $key) { id } }")

    assert (prepared.point_lookup, whole.point_lookup is not None) == (None, True)


async def test_outputs_with_the_bytes_of_a_file_are_found_by_those_who_may_see_them(round_trips: RoundTrips) -> None:
    owner, friend, stranger = a_user(), a_user(), a_user()
    step = a_step(execution := an_execution(twin := a_twin(owner)))
    same = [an_output(step, sha256="a" * 64), an_output(step, friend, sha256="a" * 64)]
    public = an_output(step, public=True, sha256="a" * 64)
    await keep(owner, friend, stranger, twin, execution, step, *same, public, an_output(step, sha256="b" * 64))
    query = "query($of: String!) { outputs(where: { sha256: { eq: $of } }) { totalCount nodes { id } } }"

    async def found_by(viewer: Viewer) -> list[str]:
        shown = (await ask(query, viewer, of="a" * 64))["outputs"]
        assert shown["totalCount"] == len(shown["nodes"])
        return [one["id"] for one in shown["nodes"]]

    assert await found_by(ADMIN) == await found_by(Viewer(Role.USER, owner.id)) == [same[0].id, same[1].id, public.id]
    assert await found_by(Viewer(Role.USER, friend.id)) == [same[1].id, public.id]
    assert await found_by(Viewer(Role.USER, stranger.id)) == await found_by(ANONYMOUS) == [public.id]
    with round_trips.counting() as seen:
        await ask("{ outputs { nodes { id } } }", ADMIN)
    assert seen == [("find", "outputs")]


async def test_versions_of_all_components_are_found_by_commit_and_component() -> None:
    one, other = a_component(), a_component()
    versions = [a_component_version(one, commit_hash="c0ffee1"), a_component_version(other, commit_hash="c0ffee1")]
    await keep(one, other, *versions, a_component_version(one, commit_hash="c0ffee2"))
    query = "query($where: ComponentVersionWhere) { componentVersions(where: $where) { nodes { id } } }"
    by_commit = {"commitHash": {"eq": "c0ffee1"}}

    found = await ask(query, where=by_commit)
    of_one = await ask(query, where=by_commit | {"componentId": {"eq": one.id}})

    assert found["componentVersions"]["nodes"] == [{"id": version.id} for version in versions]
    assert of_one["componentVersions"]["nodes"] == [{"id": versions[0].id}]


async def test_datasets_are_found_and_ordered_by_when_they_were_recorded_and_changed() -> None:
    births, others, deaths = await two_resources_with_births()
    rows = documents.Dataset.get_pymongo_collection()
    for number, one in enumerate((others, births, deaths)):
        times = {"created_at": documents.base.now().replace(year=2000 + number)}
        times["updated_at"] = times["created_at"].replace(year=2020 - number)
        await rows.update_one({"_id": one.id}, {"$set": times})
    query = """query($where: DatasetWhere, $order: [DatasetOrder!]) {
      datasets(where: $where, orderBy: $order) { nodes { id } } }"""

    async def found(**asked: Any) -> list[str]:
        return [one["id"] for one in (await ask(query, **asked))["datasets"]["nodes"]]

    assert await found(order=[{"field": "CREATED_AT"}]) == [others.id, births.id, deaths.id]
    assert await found(order=[{"field": "UPDATED_AT"}]) == [deaths.id, births.id, others.id]
    assert await found(where={"createdAt": {"gte": "2001-12-31T00:00:00Z"}}) == [deaths.id]
    assert await found(where={"updatedAt": {"lt": "2019-01-01T00:00:00Z"}}) == [deaths.id]


def keys_of_indexes(document: type[documents.Document]) -> list[list[str]]:
    """The stored paths of each index of a document, but for the `_id` at its end."""
    own = [one.model.document["key"] for one in declared_indexes() if one.collection == document.collection_name()]
    return [[path for path in keys if path != "_id"] or ["_id"] for keys in own] + [["_id"]]


def lists_of_everything() -> list[Any]:
    """The name of each root list, and how it is declared."""
    sources = [
        (name, getattr(field.extensions.get(STRAWBERRY_FIELD), "field_source", None)) for name, field in ROOT.items()
    ]
    return [
        pytest.param(declared, id=name)
        for name, declared in sources
        # Jobs are listed within a generation, and have indexes below that.
        if isinstance(getattr(declared, "link", None), AllDocuments) and name != "jobs"
    ]


@pytest.mark.parametrize("declared", lists_of_everything())
def test_whatever_a_root_list_is_filtered_or_ordered_by_has_an_index(declared: Any) -> None:
    document = declared.link.document
    filtered = {path for path, _ in declared.to_filter.__self__.conditions.values()}
    ordered = {key.path for key in declared.to_order.__self__.keys.values()} if declared.to_order else set()
    viewers = [ANONYMOUS, Viewer(Role.USER, "user_1"), Viewer(Role.WORKER, "user_1", reported=("step_1",))]
    guarded = {path for viewer in viewers for path in paths_of(readable(document, viewer))}

    indexes = keys_of_indexes(document)

    assert {path for path in filtered | guarded if not any(keys[0] == path for keys in indexes)} == set()
    assert {path for path in ordered if [path] not in indexes} == set()


def paths_of(policy: dict[str, Any]) -> set[str]:
    """The stored paths that a policy compares, each of which is a way to rows of its own."""
    alternatives = policy.get("$or")
    return set(policy) if alternatives is None else {path for one in alternatives for path in paths_of(one)}
