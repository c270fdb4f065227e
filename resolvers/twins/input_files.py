"""Input files of steps: outputs of the steps they wait for, of steps that these reuse, and files they use."""

from typing import Any, NamedTuple

from pydantic import BaseModel, Field

import documents
from documents.twins.output import AccessControl, OutputType
from documents.twins.step import ReuseGrant
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of
from resolvers.reads import lookups
from resolvers.reads.order import BY_ID, Order
from resolvers.reads.page import COUNT_CAP, PageInfo, PageRequest, page_request
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.used_files import count_used, used_files

ORDER = Order.by(BY_ID)
MARK = "inputFiles"
"""The mark that binds cursors to lists of input files."""


class InputFile(BaseModel):
    """An output, and the key of the step in whose place it comes in the execution."""

    id: str = Field(alias="_id")
    step_key: str
    owner_ref: str = Field(alias="ownerRef")
    reader_refs: list[str] = Field(default_factory=list, alias="readerRefs")
    runners: list[str] = Field(default_factory=list)
    borrowers: list[ReuseGrant] = Field(default_factory=list)
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
    page: Any
    page_info: PageInfo
    sources: list[Any]


class Source(NamedTuple):
    """A step whose outputs are taken under its own key, or under that of the step that reuses it."""

    id: str
    attempt: int
    key: str


async def input_files(steps: list[Row], viewer: Viewer, **asked: Any) -> list[Row]:
    """A page of its input files for each step, by their ids. Reads for all steps at once.

    `asked` are the arguments of a connection. Raises InvalidInput, BadCursor, NotReadable and LimitExceeded.
    """
    paging: dict[str, Any] = dict.fromkeys(("first", "after", "last", "before")) | asked
    wanted = page_request(**paging, collection=MARK, order=ORDER, filter={})
    sources = await _sources(steps, viewer)
    found = await _outputs({source for some in sources for source in some}, viewer, wanted)
    used = await used_files(steps, viewer, wanted, FIELDS)
    return [
        {"_id": step["_id"], "step": step, **_page(some, found, more, wanted)}
        for step, some, more in zip(steps, sources, used, strict=True)
    ]


def rows(pages: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The files of each page."""
    return [page["page"].rows for page in pages]


def edges(pages: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The files of each page with their cursors."""
    return [[{"node": row, "cursor": page["page"].cursor(row)} for row in page["page"].rows] for page in pages]


def nodes(edges: list[Row], viewer: Viewer) -> list[Row]:
    """The file of each edge."""
    return [edge["node"] for edge in edges]


async def total_counts(pages: list[Row], viewer: Viewer) -> list[int | None]:
    """The number of files of each page's list; None beyond the cap."""
    made = {source for page in pages for source in page["sources"]}
    counted = await _by_step(made, viewer, [], [{"$group": {"_id": "$stepRef", "found": {"$sum": 1}}}])
    used = await count_used([page["step"] for page in pages], viewer)
    totals = [
        sum(counted.get(source.id, 0) for source in page["sources"]) + more
        for page, more in zip(pages, used, strict=True)
    ]
    return [total if total <= COUNT_CAP else None for total in totals]


def _page(sources: list[Source], found: dict[str, list[Row]], used: list[Row], wanted: PageRequest) -> Row:
    made = (output | {"step_key": source.key} for source in sources for output in found.get(source.id, []))
    read = sorted([*made, *used], key=lambda row: str(row["_id"]), reverse=wanted.backwards)
    page = wanted.page(read[: wanted.limit])
    return {"page": page, "page_info": page.info, "sources": sources}


async def _sources(steps: list[Row], viewer: Viewer) -> list[list[Source]]:
    """The sources of each step's files."""
    awaited = await _steps({id for step in steps for id in _awaited(step)}, viewer)
    reused = await _steps({one["reusedFrom"] for one in awaited.values() if _reuses(one)}, viewer)
    return [
        [
            Source(ran["_id"], ran["attempt"], awaited[id]["key"])
            for id in _awaited(step)
            if id in awaited and (ran := reused.get(awaited[id]["reusedFrom"]) if _reuses(awaited[id]) else awaited[id])
        ]
        for step in steps
    ]


async def _steps(ids: set[str], viewer: Viewer) -> dict[str, Row]:
    return await lookups.by_ids(documents.Step, ids, frozenset({"key", "attempt", "reusedFrom"}), viewer)


def _awaited(step: Row) -> list[str]:
    return step.get("dependsOn") or []


def _reuses(step: Row) -> bool:
    return step.get("reusedFrom") is not None


async def _outputs(sources: set[Source], viewer: Viewer, wanted: PageRequest) -> dict[str, list[Row]]:
    """The first outputs of each source, by the source's id."""
    first = {"$firstN": {"input": "$$ROOT", "n": wanted.limit}}
    order = dict(wanted.reading_order.sort())
    stages: list[Row] = [{"$sort": order}, {"$group": {"_id": "$stepRef", "found": first}}]
    return await _by_step(sources, viewer, wanted.bounds(), stages)


async def _by_step(sources: set[Source], viewer: Viewer, bounds: list[Filter], stages: list[Row]) -> dict[str, Any]:
    """The outputs of each source, of the attempt that succeeded. Imported outputs have attempt 0."""
    if not sources:
        return {}
    made = sorted({(source.id, source.attempt) for source in sources})
    wanted = {
        "$or": [{"stepRef": id, "attempt": {"$in": [0, attempt]}} for id, attempt in made],
        "output_type": OutputType.OUTPUT.value,
    }
    match = all_of([wanted, readable(documents.Output, viewer), *bounds])
    cursor = await collection_of(documents.Output).aggregate([{"$match": match}, *stages])
    return {row["_id"]: row["found"] async for row in cursor}
