"""Newer readers: generations of jobs that an earlier version of the reader derived from reports."""

import re
from collections.abc import Iterable

from documents.galaxy.generation import GenerationStatus
from resolvers.provenance.staleness.causes import Cause, Causes, StalenessCauseKind
from resolvers.reads.rows import Row

GENERATION_FIELDS = frozenset({"parser_version", "status"})


def generation_causes(generations: list[Row], reader_version: str) -> Causes:
    """How generations have moved on, when reports are read by this version of the reader now."""
    causes = Causes()
    for generation in generations:
        causes.add(generation["_id"], _causes(generation, reader_version))
    return causes


def _causes(generation: Row, reader_version: str) -> Iterable[Cause]:
    used = generation["parser_version"]
    if _order(used) < _order(reader_version):
        yield Cause(StalenessCauseKind.NEWER_READER, used, reader_version)
    if generation["status"] == GenerationStatus.DISCARDED.value:
        yield Cause(StalenessCauseKind.WITHDRAWN)


def _order(version: str) -> list[int]:
    """The numbers of a version, by which versions are ordered."""
    return [int(number) for number in re.findall("[0-9]+", version)]
