"""Stored paths of fields that have another name in Python."""

from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Model = type[BaseModel]


def stored_path(model: Model | None, path: str) -> tuple[str, FieldInfo]:
    """The stored path of a dotted Python path, and how its last field is declared.

    Raises TypeError when the model has no such field, so that a wrong declaration stops the process at start.
    """
    names = []
    info: FieldInfo | None = None
    for part in path.split("."):
        if model is None or part not in model.model_fields:
            raise TypeError(f"{model.__name__ if model else 'Nothing'} has no field {part} (of {path})")
        info = model.model_fields[part]
        names.append(info.alias or part)
        model = _embedded_model(info.annotation)
    if info is None:
        raise TypeError("an empty path")
    return ".".join(names), info


def list_on(model: Model | None, path: str) -> str | None:
    """The stored path of the first list on a dotted Python path, None when there is none."""
    parts = path.split(".")
    for length in range(1, len(parts) + 1):
        found, info = stored_path(model, ".".join(parts[:length]))
        if any(get_origin(one) is list for one in (info.annotation, *get_args(info.annotation))):
            return found
    return None


def _embedded_model(annotation: object) -> Model | None:
    candidates = [annotation, *get_args(annotation)]
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)
