"""The levels of a plan: its reads, without the fields."""

from typing import Any

from graph.engine.plan.nested_pages import NestedPages
from graph.engine.plan.row_codegen import RowTemplate

Levels = tuple[Any, ...]
"""For each column with rows, its read and the levels below."""


def levels_of(shape: RowTemplate) -> Levels:
    """The levels below the rows of a shape."""
    found = [(column, levels) for column in shape.columns for levels in _below(column)]
    return tuple((_name(column), *levels) for column, levels in found)


def depth(levels: Levels) -> int:
    """How deep the pages of rows are nested."""
    return max((is_paged + depth(below) for (is_paged, _), *below in levels), default=0)


def _below(column: Any) -> list[Levels]:
    shapes = column.shown.shapes if isinstance(column, NestedPages) else [getattr(column, "shape", None)]
    return [levels_of(shape) for shape in shapes if shape is not None]


def _name(column: Any) -> tuple[bool, str]:
    link = column.field_source.link if isinstance(column, NestedPages) else getattr(column, "link", None)
    return isinstance(column, NestedPages), repr(link) if link is not None else type(column).__name__
