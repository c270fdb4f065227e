"""Links that may not be null, held to the policies: whoever sees the source of one sees its target."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_non_null_type

import documents
from documents.mongo.database import Database
from documents.mongo.field_paths import stored_path
from graph.core.fields import NODE_VIEWS
from graph.core.required_links import LinkToOne, check_required_links, links_to_one
from graph.schema import schema
from resolvers.access.policies import POLICIES, READABLE_WITH_SOURCE, allow_all, readable
from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of, none_of
from resolvers.reads import lookups
from resolvers.reads.order import value_at
from resolvers.reads.relations import Document
from resolvers.reads.rows import collection_of
from resolvers.reads.semi_join import resolve_subqueries
from tests.journeys.access_world import World, a_world

REACHED_THROUGH: dict[Document, str] = {documents.Rejection: "ingestionRef"}
"""Documents without rights of their own, by the link through which alone they are reached."""
CROSSING = {
    "Execution.digitalTwin",
    "Execution.parent",
    "Execution.workflow",
    "Step.execution",
    "Step.reusedFrom",
    "Output.step",
}
"""Links that lead to what their reader may not see."""

LINKS = list(links_to_one(schema._schema))


@pytest.fixture
async def world(database: Database) -> World:
    world = a_world()
    await world.begin()
    return world


async def seen(document: Document, viewer: Viewer) -> list[dict[str, Any]]:
    """All rows of a document that the viewer may see, by its policy."""
    through = REACHED_THROUGH.get(document)
    rows = await collection_of(document).find(await resolve_subqueries(readable(document, viewer), viewer)).to_list()
    if through is None:
        return rows
    reached = await ids_seen((row[through] for row in rows), viewer)
    return [row for row in rows if row[through] in reached]


async def ids_seen(ids: Iterable[str], viewer: Viewer) -> set[str]:
    """The ids, all of one kind, whose documents the viewer may see."""
    wanted = set(ids)
    document = documents.by_kind(next(iter(wanted), ""))
    return set(await lookups.by_ids(document, wanted, frozenset({"_id"}), viewer)) if document else set()


async def leads_to_something_hidden(one: LinkToOne, viewer: Viewer) -> bool:
    targets = {id for row in await seen(one.source, viewer) if (id := value_at(row, one.link.via))}
    return await ids_seen(targets, viewer) != targets


async def test_whoever_sees_the_source_of_a_required_link_sees_its_target(world: World) -> None:
    crossing = {
        one.place
        for one in LINKS
        for viewer in world.viewers.values()
        if one.source in documents.ALL and await leads_to_something_hidden(one, viewer)
    }

    assert crossing == CROSSING
    assert [one.place for one in LINKS if one.required and one.place in crossing] == []


async def test_the_table_has_the_links_that_are_required_and_no_others() -> None:
    required = defaultdict(set)
    for one in LINKS:
        if one.required:
            required[one.source].add(one.link.via)

    table = {source: {stored_path(source, name)[0] for name in names} for source, names in READABLE_WITH_SOURCE.items()}
    assert required == table


async def test_each_way_to_see_the_source_of_a_required_link_is_tried_alone(world: World) -> None:
    """Without a row that is seen in one way only, that way would not be part of the proof."""
    ways: dict[tuple[str, str], int] = {}
    for document in READABLE_WITH_SOURCE:
        for viewer in world.viewers.values():
            several = readable(document, viewer).get("$or", [readable(document, viewer)])
            for way in several:
                others = [await resolve_subqueries(one, viewer) for one in several if one is not way]
                key = (document.__name__, " ".join(way))
                ways[key] = ways.get(key, 0) + await rows_only(document, await resolve_subqueries(way, viewer), others)

    assert {("Result", "public"), ("Result", "ownerRef"), ("Step", "borrowers.key"), ("Job", "generationRef")} <= {
        *ways
    }
    assert [way for way, count in ways.items() if not count] == []


async def rows_only(document: Document, way: Filter, others: list[Filter]) -> int:
    """The number of rows that match this condition and none of the others."""
    return await collection_of(document).count_documents(all_of([way, *map(none_of, others)]))


def test_payloads_require_only_what_everybody_may_see() -> None:
    required = {
        f"{type_.name}.{name}": POLICIES[shown_by(get_named_type(field.type).name)]
        for type_ in schema._schema.type_map.values()
        if isinstance(type_, GraphQLObjectType) and type_.name.endswith("Payload")
        for name, field in type_.fields.items()
        if is_non_null_type(field.type) and get_named_type(field.type).name in NODE_VIEWS.values()
    }

    assert required == {"IngestTransformPayload.published": allow_all, "ReportFilesPayload.due": allow_all}


def shown_by(view: str) -> Document:
    """The document that a view shows."""
    kind = next(kind for kind, name in NODE_VIEWS.items() if name == view)
    document = documents.by_kind(f"{kind}_")
    assert document
    return document


def test_a_required_link_that_some_readers_may_not_follow_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READABLE_WITH_SOURCE, documents.Job, frozenset({"instance_ref"}))

    with pytest.raises(TypeError, match=r"^Job\.archive: must be nullable"):
        check_required_links(schema._schema)
