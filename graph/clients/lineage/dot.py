"""A lineage in the DOT language of Graphviz: https://graphviz.org/doc/info/lang.html."""

from collections.abc import Iterator

from graph.clients.lineage.query import Lineage
from graph.clients.lineage.tree import printable


def dot_lines(lineage: Lineage) -> Iterator[str]:
    """The lines of a directed graph: data are ellipses, activities boxes, and what is assumed is dashed."""
    yield "digraph lineage {"
    yield "  rankdir=LR;"
    for node in lineage.nodes.values():
        shape = "ellipse" if node.status is None else "box"
        bold = ", style=bold" if node.id in lineage.roots else ""
        yield f"  {_literal(node.id)} [label={_literal(_label(node.caption, node.type_name))}, shape={shape}{bold}];"
    for edge in lineage.edges:
        dashed = " [style=dashed]" if edge.is_assumed else ""
        yield f"  {_literal(edge.from_id)} -> {_literal(edge.to_id)}{dashed};"
    yield "}"


def _label(caption: str, type_name: str) -> str:
    return f"{printable(caption)}\n{type_name}"


def _literal(text: str) -> str:
    # A backslash begins an escape sequence in labels, and a line break is one of them.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
