"""A client that follows provenance without `lineage`: by nested queries."""

from typing import Any

import orjson

from tests.bench.load import Address, ask
from tests.bench.postgres import Edge
from tests.bench.provenance import HOPS

PAGE = 100
MAX_NESTED = 3
"""Steps on one path of a query, which may have 15 levels."""


class LineageError(Exception):
    """Answers that do not agree."""


class NestedClient:
    """A client that walks without `lineage`, by asking which steps used outputs, and what these generated."""

    def __init__(self, address: Address, root: str) -> None:
        self.address, self.root = address, root
        self.edges: set[Edge] = set()
        self.queries = 0

    async def walk_nested(self) -> None:
        """Ask as deep as a query may go, and then again from each output where it ended."""
        frontier, hops = [self.root], HOPS // 2
        while hops:
            depth = min(hops, MAX_NESTED)
            hops -= depth
            ends: dict[str, None] = {}
            for id in frontier:
                answer = await self._ask(
                    f"query ($id: ID!) {{ node(id: $id) {{ ... on Output {{ {_selection(depth)} }} }} }}", id=id
                )
                ends |= dict.fromkeys(self._follow(answer["node"], depth))
            frontier = list(ends)

    async def walk_together(self) -> None:
        """Ask for two hops from a hundred outputs at a time, from each output once."""
        query = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Output {{ {_selection(1)} }} }} }}"
        seen, frontier = {self.root}, [self.root]
        for _ in range(HOPS // 2):
            ends: dict[str, None] = {}
            for start in range(0, len(frontier), PAGE):
                answer = await self._ask(query, ids=frontier[start : start + PAGE])
                ends |= dict.fromkeys(id for output in answer["nodes"] for id in self._follow(output, 1))
            frontier = [id for id in ends if id not in seen]
            seen.update(frontier)

    async def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        self.queries += 1
        return data_of(await ask(self.address, self.address.request(query, variables)))

    def _follow(self, output: dict[str, Any], depth: int) -> list[str]:
        """Record the edges below an output in an answer; returns the outputs where it ends."""
        if output["usedBy"]["pageInfo"]["hasNextPage"]:
            raise LineageError(f"More than {PAGE} steps used {output['id']}.")
        ends: list[str] = []
        for step in output["usedBy"]["nodes"]:
            self.edges.add((output["id"], step["id"]))
            for made in step["generated"]["nodes"]:
                self.edges.add((step["id"], made["id"]))
                ends += self._follow(made, depth - 1) if depth > 1 else [made["id"]]
        return ends


def _selection(depth: int) -> str:
    """The selection of what was made of an output, so many steps deep."""
    below = f"... on Output {{ {_selection(depth - 1)} }}" if depth else ""
    generated = f"generated(first: {PAGE}) {{ nodes {{ id caption {below} }} }}"
    used_by = f"usedBy(first: {PAGE}) {{ nodes {{ id caption {generated} }} pageInfo {{ hasNextPage }} }}"
    return f"id caption {used_by if depth else ''}"


def data_of(answer: bytes) -> dict[str, Any]:
    """The data of an answer. Raises LineageError for an answer with errors."""
    parsed: dict[str, Any] = orjson.loads(answer)
    if "errors" in parsed:
        raise LineageError(str(parsed["errors"])[:500])
    data: dict[str, Any] = parsed["data"]
    return data
