"""Stored paths of fields whose names in Python differ from those in the database."""

from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Model = type[BaseModel]


def stored_path(model: Model | None, path: str) -> tuple[str, FieldInfo]:
    """The stored path of a dotted Python path, and the declaration of its last field.

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
        stored, info = stored_path(model, ".".join(parts[:length]))
        if any(get_origin(annotation) is list for annotation in (info.annotation, *get_args(info.annotation))):
            return stored
    return None


def _embedded_model(annotation: object) -> Model | None:
    """The model in an annotation such as `Model`, `Model | None` or `list[Model]`."""
    types = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type)]
    return next((part for part in types if issubclass(part, BaseModel)), None)
