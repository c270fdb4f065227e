"""The speed of `lineage` of a real server beside PostgreSQL and beside a client that walks with nested queries.

All follow the same edges to the same nodes, which is checked first. PostgreSQL is asked in two ways: the floor are the
edges alone, of a table with those between nodes that the asking user sees; for the same work as the server's it looks
at the rights to each node, and answers its caption. A MongoDB of the run's own has a cache as large as PostgreSQL's.
"""

import time
from collections.abc import Coroutine
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table

from tests.bench.compare import Advance
from tests.bench.fill import drop, fill_levels
from tests.bench.load import Address, ask
from tests.bench.nested_client import LineageError, NestedClient, data_of
from tests.bench.postgres import Edge, Postgres, postgres
from tests.bench.provenance import HOPS, ProvenanceGraph
from tests.bench.servers import Server, Servers, memory

DATABASE = "bench_lineage"
WALKS = """query ($id: ID!, $hops: Int!, $limit: Int!) { node(id: $id) { ... on Traceable {
  lineage(direction: DOWNSTREAM, depth: $hops, limit: $limit) {
    nodes { distance node { __typename id caption } } edges { fromId toId kind isAssumed } truncatedBy } } } }"""


@dataclass(frozen=True)
class LineageTime:
    """The time of one walk in milliseconds, medians of a few."""

    nodes: int
    edges: int
    bytes: int
    ms: float
    edges_ms: float | None
    """PostgreSQL's recursive query for edges alone; None without PostgreSQL."""
    postgres_ms: float | None
    """PostgreSQL's recursive query with rights and captions."""
    nested_ms: float
    nested_queries: int
    """A client that asks nested queries, from one output at a time."""
    together_ms: float
    together_queries: int
    """A client that asks for two hops from a hundred outputs at a time."""
    held: float | None
    """The rise of the server's memory at its peak, in sizes of the answer; None if the system does not report it."""


@dataclass(frozen=True)
class LineageTimes:
    """The times of walks of different sizes through a graph of so many edges."""

    edges: int
    walks: list[LineageTime]
    without_postgres: str | None
    """Why there was no PostgreSQL."""


def table(found: LineageTimes) -> Table:
    """One line a walk."""
    made = Table(title=f"Lineage among {found.edges:,} edges, {HOPS} hops downstream", title_justify="left")
    for name in (
        "nodes",
        "edges",
        "MB",
        "ms",
        "PostgreSQL: edges, ms",
        "ratio",
        "with rights, ms",
        "ratio",
        "nested, ms",
        "ratio",
        "together, ms",
        "ratio",
        "memory",
    ):
        made.add_column(name, justify="right")
    for one in found.walks:
        made.add_row(
            f"{one.nodes:,}",
            f"{one.edges:,}",
            f"{one.bytes / 1e6:.1f}",
            f"{one.ms:,.1f}",
            *_beside(one.ms, one.edges_ms),
            *_beside(one.ms, one.postgres_ms),
            f"{one.nested_ms:,.0f} ({one.nested_queries})",
            f"{one.nested_ms / one.ms:.1f}",
            f"{one.together_ms:,.0f} ({one.together_queries})",
            f"{one.together_ms / one.ms:.1f}",
            "" if one.held is None else f"{one.held:.1f}×",
        )
    return made


def _beside(ms: float, other: float | None) -> tuple[str, str]:
    """The cells for another time and the ratio to it."""
    return ("", "") if other is None else (f"{other:,.1f}", f"{ms / other:.2f}")


async def measure(url: str, graph: ProvenanceGraph, sizes: list[int], repeats: int, advance: Advance) -> LineageTimes:
    """Fill a database, and walk from roots with about so many nodes below them."""
    try:
        await fill_levels(
            url, DATABASE, graph.levels, lambda n: advance(f"{n:,} documents stored", 0.5 * n / graph.nodes)
        )
        with postgres() as floor, Servers(url, None) as servers:
            if isinstance(floor, Postgres):
                advance("filling PostgreSQL", 0.5)
                floor.load(graph.visible_edges(), graph.all_edges(), graph.owned_nodes())
            walks = []
            for number, size in enumerate(sizes):
                advance(f"walking to {size:,} nodes", 0.6 + 0.4 * number / len(sizes))
                walks.append(await _measure_walk(servers, floor, graph, size, repeats))
    finally:
        await drop(url, DATABASE)
    return LineageTimes(graph.edges, walks, floor if isinstance(floor, str) else None)


async def _measure_walk(
    servers: Servers, floor: Postgres | str, graph: ProvenanceGraph, size: int, repeats: int
) -> LineageTime:
    root = graph.root(size)
    server = servers.ours("lineage", DATABASE)
    await server.until_it_answers()
    (address,) = server.addresses
    address = Address(address.port, headers={"Authorization": f"Bearer {graph.secret}"})
    request = address.request(WALKS, {"id": root, "hops": HOPS, "limit": size})
    # Reads and plans the query, opens as many connections to the database, and gives a small answer.
    await ask(address, address.request(WALKS, {"id": root, "hops": HOPS, "limit": size // 10}))
    answer, held = await _peak(server, address, request)
    edges = _edges(answer)
    if isinstance(floor, Postgres) and not (
        floor.edges_below(root, HOPS) == floor.edges_below(root, HOPS, graph.viewer) == edges
    ):
        raise LineageError(f"PostgreSQL finds other edges below {root} than the server.")
    ours, theirs, alike, nested, together = [], [], [], [], []
    for _ in range(repeats):
        ours += [await _ms(ask(address, request)) for _ in range(3)]
        if isinstance(floor, Postgres):
            theirs += floor.ms(root, HOPS, 3)
            alike += floor.ms(root, HOPS, 3, graph.viewer)
        one_by_one, hundreds = NestedClient(address, root), NestedClient(address, root)
        nested.append(await _ms(one_by_one.walk_nested()))
        together.append(await _ms(hundreds.walk_together()))
        if not _ends(one_by_one.edges) == _ends(hundreds.edges) == _ends(edges):
            raise LineageError(f"Nested queries find other nodes below {root} than the lineage.")
    return LineageTime(
        nodes=len(_ends(edges)),
        edges=len(edges),
        bytes=len(answer),
        ms=median(ours),
        edges_ms=median(theirs) if theirs else None,
        postgres_ms=median(alike) if alike else None,
        nested_ms=median(nested),
        nested_queries=one_by_one.queries,
        together_ms=median(together),
        together_queries=hundreds.queries,
        held=held,
    )


async def _peak(server: Server, address: Address, request: bytes) -> tuple[bytes, float | None]:
    """The answer, and how far the memory of a server that gave no large answer before rose for it."""
    (pid,) = server.pids
    before = memory(pid)
    answer = await ask(address, request)
    for _ in range(2):
        await ask(address, request)
    after = memory(pid)
    return answer, (after["VmHWM"] - before["VmRSS"]) / len(answer) if before and after else None


async def _ms(work: Coroutine[Any, Any, object]) -> float:
    began = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - began)


def _edges(answer: bytes) -> set[Edge]:
    """The edges of a complete lineage, which must lead to its nodes alone."""
    lineage: dict[str, Any] = data_of(answer)["node"]["lineage"]
    if set(lineage["truncatedBy"]) - {"DEPTH"}:
        raise LineageError(f"The lineage is truncated by {lineage['truncatedBy']}.")
    edges = {(edge["fromId"], edge["toId"]) for edge in lineage["edges"]}
    if _ends(edges) != {node["node"]["id"] for node in lineage["nodes"]}:
        raise LineageError("The edges of the lineage do not lead to its nodes.")
    return edges


def _ends(edges: set[Edge]) -> set[str]:
    """The nodes at the ends of edges."""
    return {node for edge in edges for node in edge}
