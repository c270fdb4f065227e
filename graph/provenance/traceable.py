"""Objects with a place in the provenance graph, in the GraphQL schema."""

from graph.core.node import Node
from graph.core.view import computed, interface
from graph.provenance.lineage import Lineage, lineage_field
from resolvers.provenance.captions import MAX_CAPTION_LENGTH, caption_paths, captions


@interface
class Traceable(Node):
    """An object with a place in the provenance graph, where artifacts and activities take turns: an activity used
    artifacts and generated others.
    """

    caption: str = computed(
        captions,
        paths_of=caption_paths,
        description="A short name for lists and pictures, such as a file name; one line of at most "
        f"{MAX_CAPTION_LENGTH} characters, never empty. Captions are not unique.",
    )
    lineage: Lineage = lineage_field()
