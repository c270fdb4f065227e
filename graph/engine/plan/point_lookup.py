"""Point reads: operations that ask for one object by a key that is a variable.

Most requests of applications are point reads, for which a plan's work per level costs more than the look-up. So the
result of planning is prepared once; a request that is not as simple as expected is left to the plan.
"""

from dataclasses import dataclass
from typing import Any

from graph.engine.limits import UNSTORABLE
from graph.engine.plan.nested_reads import RootLookup
from graph.engine.plan.row_codegen import ROOT, RowTemplate, step_aside
from resolvers.reads import lookups
from resolvers.reads.loaders import RequestLoader


@dataclass(frozen=True, slots=True)
class Point:
    """An operation whose only variable is the key of the one object that it asks for."""

    name: str | None
    """The operation's name."""
    variable: str
    path: str
    root: RowTemplate
    column: RootLookup

    def value(self, name: str | None, given: dict[str, Any]) -> str | None:
        """The key to look up, None when the request is not as simple as expected."""
        if len(given) != 1 or (name is not None and name != self.name):
            return None
        value = given.get(self.variable)
        return value if value.__class__ is str and not UNSTORABLE.search(value) else None

    async def data(self, reader: RequestLoader, value: str) -> Any:
        """The answer's data; None when the standard executor has to answer. Raises AnswerTooLarge."""
        shape = self.column.shape
        try:
            found = await lookups.by_value(
                self.column.field_source.document, self.path, value, shape.fields, reader.viewer
            )
            row = found.get(value)
            (data,) = self.root.build([ROOT], [None] if row is None else shape.build([row]))
            reader.budget.add_objects(0 if row is None else 1)
        except Exception as error:
            step_aside(error, reader)
            return None
        return data


def point(name: str | None, root: RowTemplate, variable: str | None) -> Point | None:
    """The point read of an operation with this shape and this only variable; None when it is not one."""
    match root.columns:
        case [RootLookup(shape=RowTemplate(columns=[]), only=(argument, asked)) as column] if (
            asked == variable and (argument,) in column.field_source.keys
        ):
            return Point(name, asked, column.field_source.paths[argument], root, column)
    return None
