"""Input files of steps in the GraphQL schema."""

import strawberry

from graph.core.pagination import PageInfo
from graph.core.scalars import BigInt
from graph.core.view import computed, stored, view
from graph.twins.output import DOWNLOAD_URL_FIELDS, SignedUrl, expires_in
from resolvers.provenance import node_pages
from resolvers.twins import input_files
from resolvers.twins.output import download_urls


@view(input_files.InputFile)
class InputFile:
    """A file that a step may read as input."""

    output_id: strawberry.ID = stored("id", description="Id of the output that the file is.")
    step_key: str = stored(
        description="Key of the step from which the file comes: a step that the reading step depends on, whether that "
        "step ran or reuses an earlier one; or the stepKey under which the reading step uses an existing output."
    )
    name: str = stored(
        "file_name", description="The file's name, or its path below the output directory of the step that produced it."
    )
    size_bytes: BigInt | None = stored("file_size", description="The file's size in bytes. Null when unknown.")
    media_type: str | None = stored("file_type", description="The file's media type. Null when unknown.")
    file_name: str = stored(description="The file's name.", instead="name")
    file_size: BigInt | None = stored(description="The file's size in bytes. Null when unknown.", instead="sizeBytes")
    file_type: str | None = stored(description="The file's media type. Null when unknown.", instead="mediaType")
    sha256: str | None = stored(description="SHA-256 of the file's bytes, in hexadecimal. Null when unknown.")
    download_url: SignedUrl | None = computed(
        download_urls,
        *DOWNLOAD_URL_FIELDS,
        arguments=[expires_in()],
        description="A short-lived signed URL for downloading the file, created for this request. Null when the file "
        "is not in this server's bucket.",
    )


@view(input_files.InputFileEdge)
class InputFileEdge:
    """An input file in a list, with its cursor."""

    node: InputFile = computed(input_files.edge_nodes, "node", description="The input file itself.")
    cursor: str = stored(description="The input file's position in the list.")


@view(input_files.InputFilePage)
class InputFileConnection:
    """One page of a list of input files."""

    nodes: list[InputFile] = computed(input_files.nodes, "nodes", description="The input files on the page.")
    edges: list[InputFileEdge] = computed(
        node_pages.edges, "page", description="The input files on the page, each with its cursor."
    )
    page_info: PageInfo = stored(description="The position of the page in its list.")
    total_count: int | None = computed(
        input_files.total_counts,
        "sources",
        "step",
        description="Number of input files in the whole list. Counted only when selected; null beyond 10,000.",
    )
