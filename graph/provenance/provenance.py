"""The provenance of artifacts in the GraphQL schema."""

from typing import TYPE_CHECKING

from graph.core.enums import describe_enum
from graph.core.scalars import JSON
from graph.core.view import computed, held_nodes, page_arguments, stored, view
from graph.provenance.connections import ArtifactConnection
from resolvers.provenance import gaps, provenance

if TYPE_CHECKING:
    from graph.activities.activity import Activity, CodeReference

ProvenanceGap = describe_enum(
    gaps.ProvenanceGap,
    "Something that is not known of where an artifact came from.",
    RUN_UNKNOWN="Nobody recorded which run made the artifact.",
    CODE_UNKNOWN="Nobody recorded which code ran, or at which commit.",
    INPUTS_UNKNOWN="Nobody recorded what the run read, or not all of it.",
    INPUTS_ASSUMED="Nobody recorded the exact state of something that the run read; the state shown is assumed.",
    RESTRICTED="The run, or something that the artifact was made of, is known and hidden from you.",
    DELETED="The run, or something that the artifact was made of, was deleted.",
)


@view(provenance.Provenance)
class Provenance:
    """Where an artifact came from: the run that made it, its exact code, and exactly what it had read."""

    generated_by: "Activity | None" = held_nodes(
        "run",
        description="The run that made the artifact: the step of an output, the transform of a distribution, the last "
        "ingestion that added to a generation. Null when the artifact came from outside, or you may not see the run.",
    )
    code: "list[CodeReference]" = stored(description="The exact code that ran, frozen when the run was created.")
    parameters: JSON | None = stored(
        description="The parameter values with which the step ran, as an object by name, frozen when its execution was "
        "created. Null when there are none, or you may not see the step."
    )
    derived_from: ArtifactConnection = computed(
        provenance.derived_from,
        "run",
        "artifact",
        arguments=page_arguments(),
        finds_nodes=True,
        description="The artifacts that this one was made of and that you may see, in the order in which they were "
        "recorded: exactly what the run had read. For a generation, all reports that were merged into it; for a "
        "result, the outputs that it gathers.",
    )
    gaps: list[ProvenanceGap] = computed(  # type: ignore[valid-type]
        gaps.gaps,
        "run",
        "artifact",
        description="What is not known of where the artifact came from. Empty when everything is known, so that an "
        "empty list above means that there is nothing.",
    )
