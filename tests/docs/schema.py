"""The reference of the schema: what can be asked at its roots."""

from graphql import GraphQLObjectType, build_schema

from graph.schema import as_text
from tests.docs.tables import table


def root_fields(name: str) -> str:
    """The fields of a root type with what each returns and the first sentence about it."""
    root = build_schema(as_text()).type_map[name]
    assert isinstance(root, GraphQLObjectType)
    rows = [
        (f"`{field}`", f"`{shown.type}`", _first_sentence(shown.description))
        for field, shown in sorted(root.fields.items())
    ]
    return table(("field", "type", "what it is"), rows)


def _first_sentence(description: str | None) -> str:
    text = " ".join((description or "").split())
    return f"{text.partition('. ')[0].rstrip('.')}."
