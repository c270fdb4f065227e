"""Plans: answers to queries made in one pass for each level, without per-object work.

A query over declared views is compiled once into a tree of levels. Each level is one projected find (or one
aggregation, where every parent gets a page of its own) for all its rows, with the viewer's policy inside; independent
levels are read concurrently; one generated function turns a level's rows into the answer's dictionaries.

    { users(first: 2) { nodes { displayName digitalTwins { nodes { name } } } } }

becomes

    Query     one row that stands for the root
      c0      pages of users, needing _id and displayName
        User  [{"displayName": r["displayName"], "digitalTwins": v0} for r, v0 in zip(rows, c0)]
          c0  pages of digitalTwins by userRef, needing _id, userRef and name
            DigitalTwin  [{"name": r["name"]} for r in rows]

that is two finds, whatever the number of users. `selections` spreads fragments, `compiler` walks the operation and
makes `row_codegen.RowTemplate`s (rows as the answer shows them) with nested fields (`nested_reads`, values read from
other collections), `planner` caches and runs the plans; those that are a single lookup by a variable are run by
`point_lookup`.

Besides its function each template has a `bson_script`, by which rows are written straight from the database's BSON:

        User  {"displayName":<text at displayName>,"digitalTwins":<column 0>}

The standard executor is the reference. For any query both give the same bytes; on anything unexpected, such as an error
in a field or a null where none may be, the plan falls back and the reference answers.
"""

from graph.engine.plan.planner import Plan, Planner, Plans
from graph.engine.plan.point_lookup import PointLookup

__all__ = ["Plan", "Planner", "Plans", "PointLookup"]
