"""Pages of artifacts and of activities, which may be of several kinds, in the GraphQL schema."""

from typing import TYPE_CHECKING

from graph.core.pagination import PageInfo
from graph.core.view import computed, held_nodes, stored, view
from resolvers.provenance import node_pages

if TYPE_CHECKING:
    from graph.activities.activity import Activity
    from graph.provenance.artifact import Artifact


@view(node_pages.NodeEdge)
class ArtifactEdge:
    """An artifact in a list, with its cursor."""

    node: "Artifact" = held_nodes(description="The artifact itself.")
    cursor: str = stored(description="The artifact's position in the list.")


@view(node_pages.NodePage)
class ArtifactConnection:
    """One page of a list of artifacts."""

    nodes: "list[Artifact]" = held_nodes(description="The artifacts on the page.")
    edges: list[ArtifactEdge] = computed(
        node_pages.edges, "page", description="The artifacts on the page, each with its cursor."
    )
    page_info: PageInfo = stored(description="The position of the page in its list.")
    total_count: int | None = computed(
        node_pages.total_counts,
        "count",
        description="Number of artifacts in the whole list. Counted only when selected; null beyond 10,000.",
    )


@view(node_pages.NodeEdge)
class ActivityEdge:
    """An activity in a list, with its cursor."""

    node: "Activity" = held_nodes(description="The activity itself.")
    cursor: str = stored(description="The activity's position in the list.")


@view(node_pages.NodePage)
class ActivityConnection:
    """One page of a list of activities."""

    nodes: "list[Activity]" = held_nodes(description="The activities on the page.")
    edges: list[ActivityEdge] = computed(
        node_pages.edges, "page", description="The activities on the page, each with its cursor."
    )
    page_info: PageInfo = stored(description="The position of the page in its list.")
    total_count: int | None = computed(
        node_pages.total_counts,
        "count",
        description="Number of activities in the whole list. Counted only when selected; null beyond 10,000.",
    )
