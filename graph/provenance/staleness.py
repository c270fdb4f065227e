"""The staleness of artifacts in the GraphQL schema."""

from typing import TYPE_CHECKING, Any

from graph.core.enums import describe_enum
from graph.core.view import computed, held_nodes, stored, view
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.provenance.lineage.starts import start_fields
from resolvers.provenance.staleness import causes, staleness

if TYPE_CHECKING:
    from graph.provenance.traceable import Traceable
    from resolvers.access.viewer import Viewer
    from resolvers.reads.node_selection import NodeSelection
    from resolvers.reads.rows import Row

StalenessStatus = describe_enum(
    staleness.StalenessStatus,
    "Whether an artifact is up to date.",
    FRESH="Nothing upstream of the artifact has moved on, and everything upstream is known.",
    STALE="Something upstream of the artifact has moved on.",
    UNKNOWN="Nothing upstream of the artifact is known to have moved on, and not everything upstream is known.",
)
StalenessCauseKind = describe_enum(
    causes.StalenessCauseKind,
    "A way in which something upstream of an artifact has moved on.",
    NEWER_CODE="A transform's file is at another commit in its resource's codeRepo now, or a step's component has a "
    "later version with another commit.",
    NEWER_DATA="The dataset has a later version, a later state of the data elsewhere is known, or the generation has "
    "taken in further reports.",
    NEWER_READER="Reports are read by a later version of the reader now.",
    DELETED="The object was deleted.",
    WITHDRAWN="The component version that a step ran was deprecated, or a generation was discarded.",
)


@view(staleness.StalenessCause)
class StalenessCause:
    """Something that has moved on since an artifact was made."""

    kind: StalenessCauseKind = stored(description="The way in which the object has moved on.")  # type: ignore[valid-type]
    node: "Traceable" = held_nodes(description="The object that has moved on: one upstream, or the artifact itself.")
    used: str | None = stored(
        description="What the artifact was made with: a commit, a label, a version, or the contentHash of a "
        "generation. Null when it has no name."
    )
    latest: str | None = stored(description="What there is now, in the same terms. Null when there is nothing newer.")


@view(staleness.Staleness)
class Staleness:
    """Whether an artifact is up to date with everything upstream of it, within 10 edges and 1,000 nodes."""

    status: StalenessStatus = stored(description="Whether the artifact is up to date.")  # type: ignore[valid-type]
    causes: list[StalenessCause] = computed(
        staleness.causes,
        "causes",
        description="What has moved on since the artifact was made, the nearest first; at most 100.",
    )


async def _staleness(artifacts: "list[Row]", viewer: "Viewer", *, fields_of: "NodeSelection") -> "list[Row]":
    return await staleness.staleness(artifacts, viewer, reader_version=PARSER_VERSION, fields_of=fields_of)


def staleness_field() -> Any:
    """Declare the staleness of an artifact."""
    return computed(
        _staleness,
        stored_paths_of=start_fields,
        finds_nodes=True,
        description="Whether the artifact is up to date: whether what it was made of or with has moved on since.",
    )
