"""A claimed step or transform."""

from dataclasses import dataclass
from typing import Any, Self

from graph.clients.worker.client import Json


@dataclass(frozen=True)
class Claimed:
    """A claimed step or transform, with the server's answer as `told`."""

    id: str
    attempt: int
    is_step: bool
    label: str
    told: Json

    @classmethod
    def of(cls, activity: Json) -> Self:
        """The activity in a claim's answer."""
        is_step = activity["__typename"] == "Step"
        name = activity["key"] if is_step else activity["resource"]["title"] or activity["resource"]["id"]
        label = f"{'step' if is_step else 'transform'} {name} (attempt {activity['attempt']})"
        told = {name: value for name, value in activity.items() if name != "__typename"}
        return cls(activity["id"], activity["attempt"], is_step, label, told)

    @property
    def parameters(self) -> dict[str, Any]:
        """The step's parameters; a transform has none."""
        found = self.told.get("parameters")
        return found if isinstance(found, dict) else {}

    @property
    def undeclared(self) -> set[str]:
        """The names of parameters that the component version does not declare."""
        return {one["name"] for one in self.told.get("parameterList") or [] if not one["declared"]}
