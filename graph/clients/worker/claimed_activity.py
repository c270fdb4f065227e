"""A claimed step or transform."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class ClaimedActivity:
    """A claimed step or transform, with its fields as the server returned them."""

    id: str
    attempt: int
    is_step: bool
    label: str
    fields: dict[str, Any]

    @classmethod
    def of(cls, activity: dict[str, Any]) -> Self:
        """The activity in a claim's answer."""
        is_step = activity["__typename"] == "Step"
        name = activity["key"] if is_step else activity["resource"]["title"] or activity["resource"]["id"]
        label = f"{'step' if is_step else 'transform'} {name} (attempt {activity['attempt']})"
        fields = {name: value for name, value in activity.items() if name != "__typename"}
        return cls(activity["id"], activity["attempt"], is_step, label, fields)

    @property
    def kind(self) -> str:
        """The kind of activity, step or transform."""
        return "step" if self.is_step else "transform"

    @property
    def parameters(self) -> dict[str, Any]:
        """The step's parameters; a transform has none."""
        parameters = self.fields.get("parameters")
        return parameters if isinstance(parameters, dict) else {}

    @property
    def undeclared_parameters(self) -> set[str]:
        """The names of parameters that the component version does not declare."""
        return {parameter["name"] for parameter in self.fields.get("parameterList") or [] if not parameter["declared"]}
