"""Provenance of artifacts: the activity that made each, its exact code, and what that had read."""

from typing import Any

from pydantic import BaseModel, Field

import documents
from documents.activities.activity import CodeReference
from documents.base import JsonText, kind_of
from resolvers.access.viewer import Viewer
from resolvers.provenance.generating_activities import IN_GENERATION, generating_activity_ids
from resolvers.provenance.kinds import ACTIVITIES
from resolvers.provenance.listed_artifacts import LISTED, Ids, count_listed, pages_of_listed
from resolvers.provenance.node_pages import ConnectionRead, page_rows, pages_by_kind
from resolvers.provenance.node_rows import rows_by_id
from resolvers.provenance.used_artifacts import BY_ARCHIVE, USED, USED_FIELDS, pages_of_archives, with_used
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.relations import Children, Document
from resolvers.reads.rows import Row

PATHS: dict[Any, tuple[str, ...]] = {
    documents.Distribution: ("transform_ref",),
    documents.Output: ("step_ref",),
    documents.Result: ("output_refs",),
}
"""The fields of an artifact, by their Python names, from which its provenance is found; of other kinds its id alone."""
SHOWN_OF_RUN: dict[Document, frozenset[str]] = {
    documents.Step: frozenset({"code", "parameters"}),
    documents.Transform: frozenset({"code"}),
    documents.Ingestion: frozenset({"code"}),
}
"""The fields of an activity that are shown with what it made."""
CURSOR_SCOPE = "derivedFrom"
"""Binds cursors to lists of what artifacts were derived from."""
# A generation is as visible as its instance, and so are the archives of that.
PARTS_OF_GENERATION = Children(documents.IngestionPart, "generationRef", BY_ARCHIVE, inherits_access=True)


def provenance_paths(document: Any) -> tuple[str, ...]:
    """The fields of an artifact from which its provenance is found, by their Python names."""
    return PATHS.get(document, ())


class Provenance(BaseModel):
    """The activity that made an artifact, by the artifact's id. `run` is None where the viewer may see none.

    `is_hidden` says that an activity made it which the viewer may not see, or which is gone.
    """

    id: str = Field(alias="_id")
    artifact: Any
    run: Any = None
    is_hidden: bool = False
    code: list[CodeReference] = []
    parameters: JsonText | None = None


async def provenance(artifacts: list[Row], viewer: Viewer, *, fields_of: NodeSelection) -> list[Row]:
    """The provenance of each artifact. Its run is read once for all artifacts that it made."""
    ids = await generating_activity_ids(artifacts)
    shows_inputs = not fields_of.names.isdisjoint({"derivedFrom", "gaps"})
    used = USED_FIELDS if shows_inputs else frozenset()
    selection = NodeSelection(lambda kind: fields_of(kind) | SHOWN_OF_RUN[kind] | used)
    runs = await rows_by_id((id for id in ids if id is not None), ACTIVITIES, selection, viewer)
    return [_provenance(artifact, id, runs.get(id or "")) for artifact, id in zip(artifacts, ids, strict=True)]


def _provenance(artifact: Row, activity_id: str | None, run: Row | None) -> Row:
    parameters = run.get("parameters") if run else None
    return {
        "_id": artifact["_id"],
        "artifact": artifact,
        "run": run,
        "is_hidden": activity_id is not None and run is None,
        "code": (run.get("code") if run else None) or [],
        # A step always has an object, which is empty where it was given none.
        "parameters": None if parameters == "{}" else parameters,
    }


async def derived_from(
    provenances: list[Row], viewer: Viewer, *, fields_of: NodeSelection, **arguments: Any
) -> list[Row]:
    """A page of the artifacts that each was made of and that the viewer may see, in the order of recording.

    They are what its run used; of a generation the archives that were merged into it by any ingestion, and of a result
    the outputs that it gathers. `arguments` are those of a connection. Raises InvalidInput and BadCursor.
    """
    return await pages_by_kind(provenances, _pages, ConnectionRead(viewer, fields_of, arguments))


async def with_inputs(provenances: list[Row]) -> list[Row]:
    """The provenances, each with what its run used, where the run is a step or a transform."""
    runs = await with_used([row["run"] for row in provenances if records_inputs(row["run"])])
    by_id = {run["_id"]: run for run in runs}
    return [row | {"run": by_id[row["run"]["_id"]]} if records_inputs(row["run"]) else row for row in provenances]


def records_inputs(run: Row | None) -> bool:
    """Whether a run is a step or a transform, which store what they used."""
    return run is not None and kind_of(run["_id"]) != documents.Ingestion.kind


def input_ids(provenance: Row) -> Ids:
    """The ids of the artifacts that one was made of, those that a viewer may not see as well.

    None for a generation, which has parts of ingestions instead. The provenance is one of `with_inputs`.
    """
    if records_inputs(provenance["run"]):
        return [used["ref"] for used in provenance["run"].get(USED) or []]
    return list(provenance["artifact"].get("output") or [])


async def _pages(artifact: Document, provenances: list[Row], read: ConnectionRead) -> list[Row]:
    if artifact is documents.Generation:
        return await pages_of_archives(provenances, read, PARTS_OF_GENERATION, IN_GENERATION)
    request = read.page_request(CURSOR_SCOPE, LISTED)
    lists = [input_ids(row) for row in await with_inputs(provenances)]
    return page_rows(provenances, await pages_of_listed(lists, request, read.fields_of, read.viewer), _count_inputs)


async def _count_inputs(provenances: list[Row], viewer: Viewer) -> list[int | None]:
    return await count_listed([input_ids(row) for row in await with_inputs(provenances)], viewer)
