"""Point reads: operations that ask for one thing by a key that is a variable.

Most of what applications ask is of this kind, and then all that a plan does for a level costs more than the look-up. So
what their plans come to is put together beforehand; requests that are not as simple as it expects are left to the plan.
"""

from dataclasses import dataclass
from typing import Any

from graph.limits import UNSTORABLE
from graph.plan.columns import Keyed
from graph.plan.shape import ROOT, Shape, step_aside
from resolvers import fetch
from resolvers.reader import Reader


@dataclass(frozen=True, slots=True)
class Point:
    """An operation whose only variable is the key of the one thing that it asks for."""

    name: str | None
    """Of the operation."""
    variable: str
    path: str
    root: Shape
    column: Keyed

    def value(self, name: str | None, given: dict[str, Any]) -> str | None:
        """What to look up, None where the request is not as simple as it may be."""
        if len(given) != 1 or (name is not None and name != self.name):
            return None
        value = given.get(self.variable)
        return value if value.__class__ is str and not UNSTORABLE.search(value) else None

    async def data(self, reader: Reader, value: str) -> Any:
        """The answer's data; None when the standard executor has to answer."""
        shape, spent = self.column.shape, reader.budget.spent
        try:
            found = await fetch.by_value(self.column.declared.document, self.path, value, shape.fields, reader.viewer)
            row = found.get(value)
            (data,) = self.root.build([ROOT], [None] if row is None else shape.build([row]))
            reader.budget.spend(1)
        except Exception as error:
            step_aside(error, reader, spent)
            return None
        return data


def point(name: str | None, root: Shape, variable: str | None) -> Point | None:
    """What answers an operation of this shape with this only variable, where that is but a look-up."""
    match root.columns:
        case [Keyed(shape=Shape(columns=[]), only=(argument, asked)) as column] if asked == variable:
            return Point(name, asked, column.declared.paths[argument], root, column)
    return None
