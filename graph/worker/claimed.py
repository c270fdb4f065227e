"""What a worker has claimed."""

from dataclasses import dataclass
from typing import Any, Self

from graph.worker.server import Json


@dataclass(frozen=True)
class Claimed:
    """A step or transform that is to be run, with all that the server told of it in `told`."""

    id: str
    attempt: int
    is_step: bool
    label: str
    told: Json

    @classmethod
    def of(cls, activity: Json) -> Self:
        """What a claim answered."""
        is_step = activity["__typename"] == "Step"
        name = activity["key"] if is_step else activity["resource"]["title"] or activity["resource"]["id"]
        label = f"{'step' if is_step else 'transform'} {name} (attempt {activity['attempt']})"
        told = {name: value for name, value in activity.items() if name != "__typename"}
        return cls(activity["id"], activity["attempt"], is_step, label, told)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values it runs with; a transform has none."""
        found = self.told.get("parameters")
        return found if isinstance(found, dict) else {}
