"""Input files of steps: outputs of the steps they wait for, of steps that these reuse, and files they use."""

from itertools import chain
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

import documents
from documents.twins.output import AccessControl, OutputType
from documents.twins.step import ReuseGrant
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of
from resolvers.limits import MAX_COUNTED_ROWS
from resolvers.reads import lookups
from resolvers.reads.order import BY_ID, Order
from resolvers.reads.page_request import PageInfo, PageRequest, page_request
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.used_files import count_used, used_files

ORDER = Order.by(BY_ID)
CURSOR_SCOPE = "inputFiles"
"""Binds cursors to lists of input files."""


class InputFile(BaseModel):
    """An output, and the key of the step in whose place it comes in the execution."""

    id: str = Field(alias="_id")
    step_key: str
    owner_ref: str = Field(alias="ownerRef")
    reader_refs: list[str] = Field([], alias="readerRefs")
    runners: list[str] = []
    borrowers: list[ReuseGrant] = []
    file_name: str
    file_size: int | None = None
    file_type: str | None = None
    sha256: str | None = None
    bucket: str = Field(alias="s3_bucket")
    key: str = Field(alias="s3_key")
    generation: int | None = None
    access_control: AccessControl


FIELDS = frozenset(field.alias or name for name, field in InputFile.model_fields.items()) - {"step_key"}
"""Fields of an output that an input file shows, and from which its signed URL is made."""


class InputFileEdge(BaseModel):
    """A file with its cursor."""

    node: InputFile
    cursor: str


class InputFilePage(BaseModel):
    """A page of the files of one step, by its id, with the step and those that its files come from."""

    id: str = Field(alias="_id")
    step: Any
    nodes: Any
    page: Any
    page_info: PageInfo
    sources: list[Any]


class Source(NamedTuple):
    """A step whose outputs are taken under its own key, or under that of the step that reuses it."""

    id: str
    attempt: int
    key: str


async def input_files(steps: list[Row], viewer: Viewer, **arguments: Any) -> list[Row]:
    """A page of its input files for each step, by their ids. Reads for all steps at once.

    `arguments` are those of a connection. Raises InvalidInput, BadCursor, NotReadable and LimitExceeded.
    """
    request = page_request(**arguments, collection=CURSOR_SCOPE, order=ORDER, filter={})
    sources = await _sources(steps, viewer)
    outputs = await _outputs(set(chain.from_iterable(sources)), viewer, request)
    used = await used_files(steps, viewer, request, FIELDS)
    return [
        {"_id": step["_id"], "step": step, **_page(step_sources, outputs, step_used, request)}
        for step, step_sources, step_used in zip(steps, sources, used, strict=True)
    ]


def nodes(pages: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The files of each page."""
    return [page["nodes"] for page in pages]


def edge_nodes(edges: list[Row], viewer: Viewer) -> list[Row]:
    """The file of each edge."""
    return [edge["node"] for edge in edges]


async def total_counts(pages: list[Row], viewer: Viewer) -> list[int | None]:
    """The number of files of each page's list; None beyond the cap."""
    sources = {source for page in pages for source in page["sources"]}
    counts = await _by_step(sources, viewer, [], [{"$group": {"_id": "$stepRef", "found": {"$sum": 1}}}])
    used = await count_used([page["step"] for page in pages], viewer)
    totals = [
        sum(counts.get(source.id, 0) for source in page["sources"]) + used_count
        for page, used_count in zip(pages, used, strict=True)
    ]
    return [total if total <= MAX_COUNTED_ROWS else None for total in totals]


def _page(sources: list[Source], outputs: dict[str, list[Row]], used: list[Row], request: PageRequest) -> Row:
    of_sources = (output | {"step_key": source.key} for source in sources for output in outputs.get(source.id, []))
    rows = sorted([*of_sources, *used], key=lambda row: str(row["_id"]), reverse=request.backwards)
    page = request.page(rows[: request.limit])
    return {"nodes": page.rows, "page": page, "page_info": page.info, "sources": sources}


async def _sources(steps: list[Row], viewer: Viewer) -> list[list[Source]]:
    """The sources of each step's files."""
    dependencies = await _steps({id for step in steps for id in _dependency_ids(step)}, viewer)
    reused = await _steps({step["reusedFrom"] for step in dependencies.values() if _reuses(step)}, viewer)

    def source_of(dependency: Row) -> Source | None:
        ran = reused.get(dependency["reusedFrom"]) if _reuses(dependency) else dependency
        return Source(ran["_id"], ran["attempt"], dependency["key"]) if ran else None

    by_id = {id: source_of(dependency) for id, dependency in dependencies.items()}
    return [[source for id in _dependency_ids(step) if (source := by_id.get(id))] for step in steps]


async def _steps(ids: set[str], viewer: Viewer) -> dict[str, Row]:
    return await lookups.by_ids(documents.Step, ids, frozenset({"key", "attempt", "reusedFrom"}), viewer)


def _dependency_ids(step: Row) -> list[str]:
    return step.get("dependsOn") or []


def _reuses(step: Row) -> bool:
    return step.get("reusedFrom") is not None


async def _outputs(sources: set[Source], viewer: Viewer, request: PageRequest) -> dict[str, list[Row]]:
    """The first outputs of each source, by the source's id."""
    first = {"$firstN": {"input": "$$ROOT", "n": request.limit}}
    order = dict(request.reading_order.sort())
    stages: list[Row] = [{"$sort": order}, {"$group": {"_id": "$stepRef", "found": first}}]
    return await _by_step(sources, viewer, request.bounds(), stages)


async def _by_step(sources: set[Source], viewer: Viewer, bounds: list[Filter], stages: list[Row]) -> dict[str, Any]:
    """The outputs of each source, of the attempt that succeeded. Imported outputs have attempt 0."""
    if not sources:
        return {}
    attempts = sorted({(source.id, source.attempt) for source in sources})
    of_sources = {
        "$or": [{"stepRef": id, "attempt": {"$in": [0, attempt]}} for id, attempt in attempts],
        "output_type": OutputType.OUTPUT.value,
    }
    match = all_of([of_sources, readable(documents.Output, viewer), *bounds])
    cursor = await collection_of(documents.Output).aggregate([{"$match": match}, *stages])
    return {row["_id"]: row["found"] async for row in cursor}
