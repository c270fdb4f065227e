"""Joins read in one round trip: the nodes to which rows of a collection of edges lead."""

from resolvers.filters import Filter
from resolvers.limits import MAX_LINEAGE_NODES
from resolvers.provenance.lineage.graph import JOINED
from resolvers.provenance.references import Direction, Join
from resolvers.reads.rows import Fields, Row, project_stages


def join_stages(join: Join, ids: list[str], direction: Direction, conditions: Filter, fields: Fields) -> list[Row]:
    """The stages that turn a join's rows into nodes to which it leads from these ids: the first that match, by id.

    Each lists under JOINED the ids from which the join leads to it.
    """
    (_, path), (document, other) = join.source(direction), join.target(direction)
    lookup = {
        "from": document.collection_name(),
        "localField": "_id",
        "foreignField": "_id",
        "pipeline": [{"$match": conditions}, *project_stages(fields)],
        "as": "node",
    }
    return [
        {"$match": {path: {"$in": ids}, **join.filter}},
        {"$group": {"_id": f"${other}", JOINED: {"$push": f"${path}"}}},
        {"$sort": {"_id": 1}},
        {"$lookup": lookup},
        {"$unwind": "$node"},
        {"$limit": MAX_LINEAGE_NODES + 1},
        {"$replaceWith": {"$mergeObjects": ["$node", {JOINED: f"${JOINED}"}]}},
    ]
