"""The query for a lineage, and its answer."""

from dataclasses import dataclass
from typing import Any

QUERY = """
query Lineage($id: ID!, $direction: LineageDirection!, $depth: Int!, $limit: Int!) {
  node(id: $id) {
    __typename
    id
    ... on Traceable {
      caption
      lineage(direction: $direction, depth: $depth, limit: $limit) {
        nodes { distance hasMore node { __typename id caption ... on Activity { status } } }
        edges { fromId toId kind isAssumed }
        truncatedBy
        restricted
        asOf
      }
    }
  }
}
"""


@dataclass(frozen=True)
class Node:
    """An object of a lineage. `status` is None for data; `has_more` says that neighbours of it are not shown."""

    id: str
    type_name: str
    caption: str
    status: str | None
    has_more: bool

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Node":
        """The object as the server answers it."""
        node = answer["node"]
        return cls(node["id"], node["__typename"], node["caption"], node.get("status"), answer["hasMore"])


@dataclass(frozen=True)
class Edge:
    """A step of the data from one object to the next."""

    from_id: str
    to_id: str
    is_assumed: bool


@dataclass(frozen=True)
class Lineage:
    """A part of the provenance graph. `roots` are the ids at which it begins, `restricted` is None for anonymous
    callers."""

    roots: list[str]
    nodes: dict[str, Node]
    edges: list[Edge]
    truncated_by: list[str]
    restricted: int | None

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Lineage":
        """The lineage as the server answers it."""
        nodes = {node["node"]["id"]: Node.of(node) for node in answer["nodes"]}
        roots = [node["node"]["id"] for node in answer["nodes"] if node["distance"] == 0]
        edges = [Edge(edge["fromId"], edge["toId"], edge["isAssumed"]) for edge in answer["edges"]]
        return cls(roots, nodes, edges, answer["truncatedBy"], answer["restricted"])
