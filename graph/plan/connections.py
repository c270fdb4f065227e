"""Connections in a plan: nodes, edges, pageInfo and totalCount of a page that was read with all others of its level."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, GraphQLObjectType, get_named_type

from graph.plan.collect import Collected
from graph.plan.shape import NotPlanned, Shape

if TYPE_CHECKING:
    from graph.plan.compile import Compiler

PAGE_INFO = {
    "hasNextPage": "page.has_next_page",
    "hasPreviousPage": "page.has_previous_page",
    "startCursor": "page.start_cursor",
    "endCursor": "page.end_cursor",
}


@dataclass
class CompiledConnection:
    """How one page is shown: `build(page, count, *rows shown, one list a shape)`."""

    shapes: list[Shape] = field(default_factory=list)
    build: Callable[..., Any] = field(default=lambda page, count: {})
    counted: bool = False
    paged: bool = False


def compile_connection(compiler: "Compiler", type_: GraphQLObjectType, fields: Collected) -> CompiledConnection:
    """The code for a connection's fields."""
    made = CompiledConnection()
    members = [f"{key!r}: {_member(compiler, type_, nodes, made)}" for key, nodes in fields.items()]
    lists = "".join(f", o{number}" for number in range(len(made.shapes)))
    source = f"def build(page, count{lists}):\n    return {{{', '.join(members)}}}"
    scope: dict[str, Any] = {"zip": zip}
    exec(compile(source, f"<plan of {type_.name}>", "exec"), scope)
    made.build = scope["build"]
    return made


def _member(compiler: "Compiler", type_: GraphQLObjectType, nodes: list[FieldNode], made: CompiledConnection) -> str:
    name = nodes[0].name.value
    match name:
        case "__typename":
            return repr(type_.name)
        case "totalCount":
            made.counted = True
            return "count"
        case "nodes":
            return _rows(compiler, get_named_type(type_.fields["nodes"].type), nodes, made)
        case "edges":
            return _edges(compiler, get_named_type(type_.fields["edges"].type), nodes, made)
        case "pageInfo":
            return _page_info(compiler, get_named_type(type_.fields["pageInfo"].type), nodes, made)
    raise NotPlanned(f"{type_.name}.{name}")


def _rows(compiler: "Compiler", type_: Any, nodes: list[FieldNode], made: CompiledConnection) -> str:
    made.paged = True
    made.shapes.append(compiler.shape_below(nodes, type_))
    return f"o{len(made.shapes) - 1}"


def _edges(compiler: "Compiler", type_: Any, nodes: list[FieldNode], made: CompiledConnection) -> str:
    made.paged = True
    members, sources = [], ["page.rows"]
    for key, below in compiler.collector.below(type_, nodes).items():
        match below[0].name.value:
            case "__typename":
                members.append(f"{key!r}: {type_.name!r}")
            case "cursor":
                members.append(f"{key!r}: page.cursor(r)")
            case "node":
                sources.append(_rows(compiler, get_named_type(type_.fields["node"].type), below, made))
                members.append(f"{key!r}: n{len(sources) - 1}")
    names = ", ".join(["r", *(f"n{number}" for number in range(1, len(sources)))])
    return f"[{{{', '.join(members)}}} for {names}, in zip({', '.join(sources)}, strict=True)]"


def _page_info(compiler: "Compiler", type_: Any, nodes: list[FieldNode], made: CompiledConnection) -> str:
    made.paged = True
    members = []
    for key, below in compiler.collector.below(type_, nodes).items():
        name = below[0].name.value
        members.append(f"{key!r}: {type_.name!r}" if name == "__typename" else f"{key!r}: {PAGE_INFO[name]}")
    return f"{{{', '.join(members)}}}"
