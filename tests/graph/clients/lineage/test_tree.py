"""A lineage on a terminal, as trees and as a graph."""

from typing import Any

from graph.clients.lineage.dot import dot_lines
from graph.clients.lineage.query import Lineage
from graph.clients.lineage.tree import tree_lines


def a_node(id: str, distance: int, *, more: bool = False, status: str | None = None, caption: str = "") -> Any:
    node = {"__typename": "Output" if status is None else "Step", "id": id, "caption": caption or id.upper()}
    return {"distance": distance, "hasMore": more, "node": node | ({"status": status} if status else {})}


def an_edge(from_id: str, to_id: str, *, assumed: bool = False) -> Any:
    return {"fromId": from_id, "toId": to_id, "kind": "USED", "isAssumed": assumed}


def a_lineage(nodes: list[Any], edges: list[Any], **fields: Any) -> Lineage:
    return Lineage.of({"nodes": nodes, "edges": edges, "truncatedBy": [], "restricted": None} | fields)


DIAMOND = a_lineage(
    [
        a_node("d", 0),
        a_node("r", -1, status="SUCCEEDED"),
        a_node("a", -2),
        a_node("b", -2, more=True),
        a_node("s", -3, status="FAILED"),
        a_node("t", 1, status="READY"),
    ],
    [
        an_edge("r", "d"),
        an_edge("a", "r"),
        an_edge("b", "r", assumed=True),
        an_edge("s", "a"),
        an_edge("s", "b"),
        an_edge("d", "t"),
    ],
    truncatedBy=["DEPTH"],
    restricted=2,
)


def test_the_tree_names_an_object_that_is_reached_twice_and_what_is_not_shown() -> None:
    assert list(tree_lines(DIAMOND, "BOTH")) == [
        "D  Output d",
        "Made from:",
        "  └─ R  Step SUCCEEDED r",
        "     ├─ A  Output a",
        "     │  └─ S  Step FAILED s",
        "     └─ B  Output b (assumed)",
        "        └─ S  Step FAILED s (see above)",
        "Used for:",
        "  └─ T  Step READY t",
        "Something is further away than --depth.",
        "2 more that you may not see.",
    ]


def test_one_direction_shows_one_tree() -> None:
    assert list(tree_lines(DIAMOND, "DOWNSTREAM"))[:3] == ["D  Output d", "Used for:", "  └─ T  Step READY t"]


def test_cycles_end_and_neighbours_that_are_not_shown_are_hinted_at() -> None:
    cycle = a_lineage(
        [a_node("x", 0), a_node("y", 1, status="RUNNING"), a_node("z", 2, more=True)],
        [an_edge("x", "y"), an_edge("y", "x"), an_edge("y", "z")],
    )

    assert list(tree_lines(cycle, "DOWNSTREAM")) == [
        "X  Output x",
        "Used for:",
        "  └─ Y  Step RUNNING y",
        "     ├─ X  Output x (see above)",
        "     └─ Z  Output z",
        "        └─ …",
    ]


def test_nothing_upstream_is_said() -> None:
    alone = a_lineage([a_node("x", 0)], [])

    assert list(tree_lines(alone, "UPSTREAM")) == ["X  Output x", "Made from:", "  nothing known"]


def test_a_long_chain_needs_no_deep_call_stack() -> None:
    count = 9_000
    chain = a_lineage(
        [a_node(str(number), number) for number in range(count)],
        [an_edge(str(number), str(number + 1)) for number in range(count - 1)],
    )

    assert len(list(tree_lines(chain, "DOWNSTREAM"))) == count + 1


def test_a_caption_cannot_move_the_cursor_or_end_a_label() -> None:
    hostile = a_lineage([a_node('q"\\', 0, caption='a\x1b[2J\n"b"\\')], [])

    assert next(tree_lines(hostile, "BOTH")) == 'a�[2J�"b"\\  Output q"\\'
    assert list(dot_lines(hostile))[2] == r'  "q\"\\" [label="a�[2J�\"b\"\\\nOutput", shape=ellipse, style=bold];'


def test_the_graph_has_boxes_for_activities_and_dashes_for_what_is_assumed() -> None:
    lines = list(dot_lines(DIAMOND))

    assert lines[:2] == ["digraph lineage {", "  rankdir=LR;"]
    assert lines[3] == r'  "r" [label="R\nStep", shape=box];'
    assert lines[10] == '  "b" -> "r" [style=dashed];'
    assert lines[-1] == "}"
