"""The parameters of steps one by one, each with whether its component version declares it."""

import json

from pydantic import BaseModel

import documents
from documents.base import JsonText
from resolvers.access.viewer import Viewer
from resolvers.reads import lookups
from resolvers.reads.rows import Row
from resolvers.twins.parameters import BUILT_IN_PARAMETERS


class StepParameter(BaseModel):
    """A parameter value with which a step runs."""

    name: str
    value: JsonText
    declared: bool


async def parameter_list(steps: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The parameters of each step, in their order. Reads the component versions of all steps at once."""
    ids = {step["component_version"] for step in steps}
    versions = await lookups.by_ids(documents.ComponentVersion, ids, frozenset({"parameters.name"}), viewer)
    names = {
        id: {parameter["name"] for parameter in version.get("parameters") or []} for id, version in versions.items()
    }
    return [_parameters(step, names.get(step["component_version"], set()) | BUILT_IN_PARAMETERS) for step in steps]


def _parameters(step: Row, declared: set[str]) -> list[Row]:
    values = json.loads(step.get("parameters") or "{}")
    # Imported steps may have run with something other than an object.
    pairs = values.items() if isinstance(values, dict) else ()
    return [
        {"name": name, "value": json.dumps(value, ensure_ascii=False), "declared": name in declared}
        for name, value in pairs
    ]
