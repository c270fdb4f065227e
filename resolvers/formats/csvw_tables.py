"""The tables of a CSV-W document, and their columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from resolvers.formats import json_ld
from resolvers.formats.json_ld import Node
from resolvers.formats.slugs import file_slug
from resolvers.user_errors import InvalidInput

NOUN = "CSV-W document"
MAX_COLUMNS = 5_000


@dataclass(frozen=True)
class Column:
    """One column as the table schema describes it."""

    name: str | None
    title: str | None
    datatype: str | None
    property_url: str | None
    required: bool
    virtual: bool


def tables_of(document: Node) -> list[Node]:
    """The tables of a group, or the document itself when it is one table or one table's schema.

    Entries that are not objects are ignored, as section 5.1.1 requires for every array.
    """
    if document.get("tables") is not None:
        tables = document["tables"]
        objects = [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
        if not objects:
            raise InvalidInput(f"The {NOUN}'s `tables` is not a list of at least one object.", "tables")
        return objects
    has_schema = isinstance(document.get("tableSchema"), dict | str) or isinstance(document.get("columns"), list)
    if has_schema or (isinstance(document.get("url"), str) and _has_csvw_context(document)):
        return [document]
    raise InvalidInput(f"This is not a {NOUN}: it has none of `tables`, `tableSchema`, `columns` and a table's `url`.")


def _has_csvw_context(document: Node) -> bool:
    context = document.get("@context")
    contexts = context if isinstance(context, list) else [context]
    return any(isinstance(entry, str) and entry.rstrip("#/").endswith("www.w3.org/ns/csvw") for entry in contexts)


def main_table(document: Node, tables: list[Node], nodes: list[Node]) -> Node:
    """The table that the dataset is named after, else the first published one with columns, else the first one."""
    names = {file_slug(node["@id"]) for node in nodes if isinstance(node.get("@id"), str)} - {""}

    def rank(table: Node) -> tuple[bool, bool, bool]:
        url = table.get("url")
        return (
            not (isinstance(url, str) and file_slug(url) in names),
            table.get("suppressOutput") is True,
            not _inline_columns(table, document),
        )

    return min(tables, key=rank)


def columns_of(table: Node, document: Node) -> list[Column]:
    """The columns of a table. Raises InvalidInput when there are more than 5,000."""
    columns = _inline_columns(table, document)
    if len(columns) > MAX_COLUMNS:
        raise InvalidInput(f"The {NOUN} describes {len(columns):,} columns, more than {MAX_COLUMNS:,}.")
    return [_column(column, table, document) for column in columns]


def _inline_columns(table: Node, document: Node) -> list[Node]:
    """The columns that the document itself lists. A schema given as an address is not fetched."""
    for owner in (_schema(table), table, _schema(document)):
        if isinstance(columns := owner.get("columns"), list):
            return [column for column in columns if isinstance(column, dict)]
    return []


def _schema(owner: Node) -> Node:
    schema = owner.get("tableSchema")
    return schema if isinstance(schema, dict) else {}


def _column(column: Node, table: Node, document: Node) -> Column:
    """A column with the properties inherited from its schema, its table and the group of tables (section 5.7)."""

    def inherited_value(key: str) -> Any:
        owners = (column, _schema(table), table, document)
        return next((owner[key] for owner in owners if owner.get(key) is not None), None)

    return Column(
        name=_text(column.get("name")),
        title=next(_titles(column), None),
        datatype=_datatype(inherited_value("datatype")),
        property_url=_text(inherited_value("propertyUrl")),
        required=inherited_value("required") is True,
        virtual=column.get("virtual") is True,
    )


def _titles(column: Node) -> Iterator[str]:
    yield from json_ld.texts(column.get("titles"))
    yield from json_ld.texts(column.get("title"))


def _datatype(value: object) -> str | None:
    """The name of a datatype. A derived datatype without a base is a string (section 5.11.2)."""
    if isinstance(value, dict):
        return _text(value.get("base")) or _text(value.get("@id")) or "string"
    return _text(value)


def _text(value: object) -> str | None:
    return next(json_ld.texts(value), None) if isinstance(value, str) else None
