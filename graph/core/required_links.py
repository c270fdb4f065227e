"""Non-null links, allowed only where everyone who may see the source may see the target."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from graphql import GraphQLObjectType, GraphQLSchema, is_non_null_type

from documents.mongo.field_paths import stored_path
from graph.core.fields import LinkField
from graph.core.projection import STRAWBERRY_FIELD
from resolvers.access.policies import READABLE_WITH_SOURCE
from resolvers.reads.relations import ToOne, ToOneBy


class LinkToOne(NamedTuple):
    """A field that links documents of one kind to one other document each."""

    place: str
    source: Any
    link: ToOne | ToOneBy
    required: bool


def links_to_one(schema: GraphQLSchema) -> Iterator[LinkToOne]:
    """Every field of the schema that leads to one other document."""
    for type_ in schema.type_map.values():
        for name, field in type_.fields.items() if isinstance(type_, GraphQLObjectType) else ():
            field_source: Any = getattr(field.extensions.get(STRAWBERRY_FIELD), "field_source", None)
            if isinstance(field_source, LinkField) and isinstance(field_source.link, ToOne | ToOneBy):
                required = is_non_null_type(field.type)
                yield LinkToOne(f"{type_.name}.{name}", field_source.source, field_source.link, required)


def check_required_links(schema: GraphQLSchema) -> None:
    """Raise TypeError at start when a link is non-null although some readers may not follow it."""
    places = [link.place for link in links_to_one(schema) if link.required and not _is_readable_with_source(link)]
    if places:
        raise TypeError(
            f"{', '.join(places)}: must be nullable, or be listed in "
            "READABLE_WITH_SOURCE (resolvers/access/policies.py)"
        )


def _is_readable_with_source(to_one: LinkToOne) -> bool:
    paths = {stored_path(to_one.source, name)[0] for name in READABLE_WITH_SOURCE.get(to_one.source, ())}
    return isinstance(to_one.link, ToOne) and to_one.link.via in paths
