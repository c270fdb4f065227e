"""The levels of a plan: its reads, without their fields."""

from typing import Any

from graph.engine.plan.nested_pages import NestedPages
from graph.engine.plan.row_codegen import RowTemplate

Levels = tuple[Any, ...]
"""For each nested field with rows, its read and the levels below."""


def levels_of(template: RowTemplate) -> Levels:
    """The levels below the rows of a template."""
    pairs = [(nested_field, levels) for nested_field in template.nested_fields for levels in _below(nested_field)]
    return tuple((_name(nested_field), *levels) for nested_field, levels in pairs)


def page_depth(levels: Levels) -> int:
    """How deep pages are nested."""
    return max((is_paged + page_depth(below) for (is_paged, _), *below in levels), default=0)


def _below(nested_field: Any) -> list[Levels]:
    if isinstance(nested_field, NestedPages):
        return [levels_of(template) for template in nested_field.connection.templates]
    template = getattr(nested_field, "template", None)
    return [] if template is None else [levels_of(template)]


def _name(nested_field: Any) -> tuple[bool, str]:
    link = (
        nested_field.field_source.link if isinstance(nested_field, NestedPages) else getattr(nested_field, "link", None)
    )
    return isinstance(nested_field, NestedPages), repr(link) if link is not None else type(nested_field).__name__
