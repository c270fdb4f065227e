"""Code generation for connections: nodes, edges, pageInfo and totalCount of pages read with their whole level.

In the generated code `o0` are the rows of a template as in the answer, `r` is a stored row, and `n1` is an edge's node.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, GraphQLObjectType, get_named_type

from graph.core.selections import GroupedFields
from graph.engine.plan.json_output import dumps
from graph.engine.plan.row_codegen import RowTemplate, UnsupportedByPlan

if TYPE_CHECKING:
    from graph.engine.plan.compiler import Compiler

PAGE_INFO = {
    "hasNextPage": "page.has_next_page",
    "hasPreviousPage": "page.has_previous_page",
    "startCursor": "page.start_cursor",
    "endCursor": "page.end_cursor",
}


@dataclass(frozen=True)
class Code:
    """Code for a value of the answer, and for its text: constant bytes, and expressions that evaluate to bytes."""

    value: str
    text: list[str | bytes]


@dataclass
class CompiledConnection:
    """The functions that make a connection of one page.

    Both take the page, the total count, and for each template a list of its rows as in the answer: `build` returns the
    answer's dictionary, `write` its text, from rows that are text already.
    """

    templates: list[RowTemplate] = field(default_factory=list)
    build: Callable[..., Any] = field(default=lambda page, count: {})
    write: Callable[..., bytes] = field(default=lambda page, count: b"{}")
    needs_count: bool = False
    needs_rows: bool = False


def compile_connection(compiler: "Compiler", type_: GraphQLObjectType, fields: GroupedFields) -> CompiledConnection:
    """The code for a connection's fields."""
    connection = CompiledConnection()
    code = _object((key, _member(compiler, type_, nodes, connection)) for key, nodes in fields.items())
    lists = "".join(f", o{number}" for number in range(len(connection.templates)))
    source = (
        f"def build(page, count{lists}):\n    return {code.value}\n"
        f"def write(page, count{lists}):\n    return {_join(code.text)}"
    )
    scope: dict[str, Any] = {"zip": zip, "dumps": dumps}
    exec(compile(source, f"<plan of {type_.name}>", "exec"), scope)
    # Removed from the globals, since functions and their globals would keep each other alive when the plan is dropped.
    connection.build, connection.write = scope.pop("build"), scope.pop("write")
    return connection


def _member(
    compiler: "Compiler", type_: GraphQLObjectType, nodes: list[FieldNode], connection: CompiledConnection
) -> Code:
    name = nodes[0].name.value
    match name:
        case "__typename":
            return _constant(type_.name)
        case "totalCount":
            connection.needs_count = True
            return _dump("count")
        case "nodes":
            rows = _rows(compiler, get_named_type(type_.fields["nodes"].type), nodes, connection)
            return Code(rows, [b"[", f"b','.join({rows})", b"]"])
        case "edges":
            return _edges(compiler, get_named_type(type_.fields["edges"].type), nodes, connection)
        case "pageInfo":
            return _page_info(compiler, get_named_type(type_.fields["pageInfo"].type), nodes, connection)
    raise UnsupportedByPlan(f"{type_.name}.{name}")


def _rows(compiler: "Compiler", type_: Any, nodes: list[FieldNode], connection: CompiledConnection) -> str:
    connection.needs_rows = True
    connection.templates.append(compiler.nested_template(nodes, type_))
    return f"o{len(connection.templates) - 1}"


def _edges(compiler: "Compiler", type_: Any, nodes: list[FieldNode], connection: CompiledConnection) -> Code:
    connection.needs_rows = True
    members, sources = [], ["page.rows"]
    for key, selected in compiler.collector.subfields(type_, nodes).items():
        match selected[0].name.value:
            case "__typename":
                members.append((key, _constant(type_.name)))
            case "cursor":
                members.append((key, _dump("page.cursor(r)")))
            case "node":
                sources.append(_rows(compiler, get_named_type(type_.fields["node"].type), selected, connection))
                node = f"n{len(sources) - 1}"
                members.append((key, Code(node, [node])))
    edge = _object(members)
    names = ", ".join(["r", *(f"n{number}" for number in range(1, len(sources)))])
    loop = f"for {names}, in zip({', '.join(sources)}, strict=True)"
    return Code(f"[{edge.value} {loop}]", [b"[", f"b','.join([{_join(edge.text)} {loop}])", b"]"])


def _page_info(compiler: "Compiler", type_: Any, nodes: list[FieldNode], connection: CompiledConnection) -> Code:
    connection.needs_rows = True
    return _object(
        (key, _constant(type_.name) if (name := selected[0].name.value) == "__typename" else _dump(PAGE_INFO[name]))
        for key, selected in compiler.collector.subfields(type_, nodes).items()
    )


def _constant(value: str) -> Code:
    return Code(repr(value), [dumps(value)])


def _dump(value: str) -> Code:
    return Code(value, [f"dumps({value})"])


def _object(members: Iterable[tuple[str, Code]]) -> Code:
    values: list[str] = []
    text: list[str | bytes] = [b"{"]
    for key, code in members:
        text += [*([b","] if values else []), dumps(key), b":", *code.text]
        values.append(f"{key!r}: {code.value}")
    return Code(f"{{{', '.join(values)}}}", [*text, b"}"])


def _join(text: list[str | bytes]) -> str:
    """One expression for all pieces, with adjacent constants merged."""
    pieces: list[str] = []
    for kind, group in groupby(text, key=type):
        members = list(group)
        pieces += [repr(b"".join(members))] if kind is bytes else members  # type: ignore[arg-type]
    return f"b''.join(({', '.join(pieces)},))"
