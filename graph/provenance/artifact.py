"""Artifacts in the GraphQL schema: data in one exact state."""

from graph.core.view import computed, interface, page_arguments
from graph.provenance.connections import ActivityConnection
from graph.provenance.provenance import Provenance
from graph.provenance.staleness import Staleness, staleness_field
from graph.provenance.traceable import Traceable
from resolvers.provenance import provenance
from resolvers.provenance.using_activities import using_activities


@interface
class Artifact(Traceable):
    """An artifact: data in one exact state, which never changes. It is the document of a dataset version, an output of
    a step, a result, a report of a Galaxy instance, a generation of jobs, or data that lies elsewhere.
    """

    provenance: Provenance = computed(
        provenance.provenance,
        paths_of=provenance.provenance_paths,
        finds_nodes=True,
        description="Where the artifact came from: the run that made it, its exact code, and exactly what that had "
        "read.",
    )
    used_by: ActivityConnection = computed(
        using_activities,
        arguments=page_arguments(),
        finds_nodes=True,
        description="The runs that read exactly this artifact and that you may see, oldest first.",
    )
    staleness: Staleness = staleness_field()
