"""A lineage as trees for a terminal: one of all that is upstream, one of all that is downstream."""

from collections.abc import Iterator

from graph.clients.lineage.query import Lineage, Node

MAX_CAPTION_LENGTH = 100
TRUNCATIONS = {
    "DEPTH": "Something is further away than --depth.",
    "LIMIT": "There is more than --limit.",
    "DEADLINE": "The server ran out of time.",
    "DEGREE": "Something has more neighbours than the server looks at.",
}
"""Sentences on why there may be more."""

Neighbours = dict[str, list[tuple[str, bool]]]
"""For each object the next ones, and whether the way to each is assumed."""


def tree_lines(lineage: Lineage, direction: str) -> Iterator[str]:
    """The lines of the trees from each root. An object that is reached again is named and not followed once more."""
    for root in lineage.roots:
        yield _line(lineage.nodes[root])
        if direction != "DOWNSTREAM":
            yield "Made from:"
            upstream = _neighbours((edge.to_id, edge.from_id, edge.is_assumed) for edge in lineage.edges)
            yield from _branches(lineage, upstream, root)
        if direction != "UPSTREAM":
            yield "Used for:"
            downstream = _neighbours((edge.from_id, edge.to_id, edge.is_assumed) for edge in lineage.edges)
            yield from _branches(lineage, downstream, root)
    yield from notes(lineage)


def notes(lineage: Lineage) -> Iterator[str]:
    """Sentences on what is not shown."""
    yield from (TRUNCATIONS.get(reason, f"There may be more: {reason}.") for reason in lineage.truncated_by)
    if lineage.restricted:
        yield f"{lineage.restricted:,} more that you may not see."


def _branches(lineage: Lineage, neighbours: Neighbours, root: str) -> Iterator[str]:
    if not neighbours.get(root):
        yield "  nothing known"
        return
    seen = {root}
    # Each entry is an object with the lines that lead to it. Its neighbours are put on top, the first one last.
    pending = _entries(neighbours, root, "  ")
    while pending:
        id, is_assumed, stem, is_last = pending.pop()
        node, again = lineage.nodes[id], id in seen
        remarks = "".join([" (assumed)" if is_assumed else "", " (see above)" if again else ""])
        yield f"{stem}{'└─' if is_last else '├─'} {_line(node)}{remarks}"
        below = f"{stem}{'   ' if is_last else '│  '}"
        if again:
            continue
        seen.add(id)
        pending += _entries(neighbours, id, below)
        if node.has_more and not neighbours.get(id):
            yield f"{below}└─ …"


def _entries(neighbours: Neighbours, id: str, stem: str) -> list[tuple[str, bool, str, bool]]:
    nexts = neighbours.get(id, [])
    return [(next, assumed, stem, number == len(nexts)) for number, (next, assumed) in enumerate(nexts, 1)][::-1]


def _neighbours(steps: Iterator[tuple[str, str, bool]]) -> Neighbours:
    neighbours: Neighbours = {}
    for id, next, is_assumed in steps:
        neighbours.setdefault(id, []).append((next, is_assumed))
    return neighbours


def _line(node: Node) -> str:
    status = f" {node.status}" if node.status else ""
    return f"{printable(node.caption)}  {node.type_name}{status} {node.id}"


def printable(caption: str) -> str:
    """A caption without characters that would move the cursor or change colours, cut to MAX_CAPTION_LENGTH."""
    text = "".join(character if character.isprintable() else "�" for character in caption)
    return text if len(text) <= MAX_CAPTION_LENGTH else f"{text[: MAX_CAPTION_LENGTH - 1]}…"
