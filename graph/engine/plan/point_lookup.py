"""Point lookups: operations that read one object by a key that is a variable.

Most requests of applications are point lookups, for which a plan's work per level costs more than the lookup itself. So
they are prepared once from the plan; a request that is not as simple as expected is left to the plan.
"""

from dataclasses import dataclass
from typing import Any

from graph.engine.document_limits import INVALID_UNICODE
from graph.engine.plan.nested_reads import RootLookup
from graph.engine.plan.row_codegen import ROOT, RowTemplate, fall_back
from resolvers.reads import lookups
from resolvers.reads.loaders import RequestLoader


@dataclass(frozen=True, slots=True)
class PointLookup:
    """An operation whose only variable is the key of the one object that it reads."""

    name: str | None
    """The operation's name."""
    variable: str
    path: str
    root: RowTemplate
    lookup: RootLookup

    def value(self, name: str | None, variables: dict[str, Any]) -> str | None:
        """The key to look up; None when the request is not as simple as expected."""
        if len(variables) != 1 or (name is not None and name != self.name):
            return None
        value = variables.get(self.variable)
        return value if value.__class__ is str and not INVALID_UNICODE.search(value) else None

    async def data(self, loader: RequestLoader, value: str) -> Any:
        """The answer's data; None when the standard executor has to answer. Raises AnswerTooLarge."""
        template = self.lookup.template
        try:
            rows = await lookups.by_value(
                self.lookup.field_source.document, self.path, value, template.fields, loader.viewer
            )
            row = rows.get(value)
            (data,) = self.root.build([ROOT], [None] if row is None else template.build([row]))
            loader.budget.add_objects(0 if row is None else 1)
        except Exception as error:
            fall_back(error, loader)
            return None
        return data


def point_lookup(name: str | None, root: RowTemplate, variable: str | None) -> PointLookup | None:
    """The point lookup of an operation with this template and only variable; None when it is not one."""
    match root.nested_fields:
        case [RootLookup(template=RowTemplate(nested_fields=[]), only_variable=(argument, value)) as lookup] if (
            value == variable and (argument,) in lookup.field_source.keys
        ):
            return PointLookup(name, value, lookup.field_source.paths[argument], root, lookup)
    return None
