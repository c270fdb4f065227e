"""Gaps of provenance: what is not known of where an artifact came from, so that an empty list means nothing else.

A signed-in viewer is told where something is hidden from them. To an anonymous caller it is unknown.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import documents
from documents.base import kind_of
from resolvers.access.viewer import Role, Viewer
from resolvers.provenance.listed_artifacts import Ids, visible_ids
from resolvers.provenance.provenance import input_ids, records_inputs, with_inputs
from resolvers.provenance.used_artifacts import USED
from resolvers.reads.rows import Row


class ProvenanceGap(StrEnum):
    """Something that is not known of where an artifact came from."""

    RUN_UNKNOWN = "RUN_UNKNOWN"
    CODE_UNKNOWN = "CODE_UNKNOWN"
    INPUTS_UNKNOWN = "INPUTS_UNKNOWN"
    INPUTS_ASSUMED = "INPUTS_ASSUMED"
    RESTRICTED = "RESTRICTED"
    DELETED = "DELETED"


WITHOUT_RUN = (documents.Archive.kind, documents.Result.kind)
"""Kinds of artifacts that no run makes: reports come from outside, and people gather results."""


async def gaps(provenances: list[Row], viewer: Viewer) -> list[list[str]]:
    """The gaps of each provenance, in the order of the enum."""
    with_lists = [(row, input_ids(row)) for row in await with_inputs(provenances)]
    visible = await visible_ids((ids for _, ids in with_lists), viewer)
    return [_in_order(_gaps(row, ids, visible, viewer)) for row, ids in with_lists]


def _in_order(found: Iterable[ProvenanceGap]) -> list[str]:
    present = set(found)
    return [gap.value for gap in ProvenanceGap if gap in present]


def _gaps(provenance: Row, ids: Ids, visible: set[str], viewer: Viewer) -> Iterator[ProvenanceGap]:
    is_told = _is_told_of_hidden(viewer)
    kind, run = kind_of(provenance["_id"]), provenance["run"]
    if is_told and (provenance["is_hidden"] or not visible.issuperset(ids)):
        yield ProvenanceGap.RESTRICTED
    elif run is None and kind not in WITHOUT_RUN:
        yield ProvenanceGap.RUN_UNKNOWN
    if run is not None and not run.get("code"):
        yield ProvenanceGap.CODE_UNKNOWN
    if run is not None and records_inputs(run):
        yield from _gaps_of_inputs(run, visible, viewer)


def _is_told_of_hidden(viewer: Viewer) -> bool:
    """Whether a viewer is told that something is hidden. What an administrator does not find is gone."""
    return viewer.role not in (Role.ANONYMOUS, Role.ADMIN)


def _gaps_of_inputs(run: Row, visible: set[str], viewer: Viewer) -> Iterator[ProvenanceGap]:
    used = run.get(USED)
    shown = [entry for entry in used or [] if entry["ref"] in visible]
    is_unknown = used is None or (bool(used) and not shown and not _is_told_of_hidden(viewer))
    if is_unknown or run.get("used_truncated"):
        yield ProvenanceGap.INPUTS_UNKNOWN
    if any(entry.get("assumed") for entry in shown):
        yield ProvenanceGap.INPUTS_ASSUMED
