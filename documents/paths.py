"""Where a document keeps what Python calls by another name."""

from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Model = type[BaseModel]


def stored_path(model: Model | None, path: str) -> tuple[str, FieldInfo]:
    """The stored path of a dotted Python path, and how its last field is declared.

    Raises TypeError when the model keeps no such thing, so that a wrong declaration stops the process at start.
    """
    names = []
    info: FieldInfo | None = None
    for part in path.split("."):
        if model is None or part not in model.model_fields:
            raise TypeError(f"{model.__name__ if model else 'Nothing'} keeps no {part} (of {path})")
        info = model.model_fields[part]
        names.append(info.alias or part)
        model = _model_in(info.annotation)
    if info is None:
        raise TypeError("an empty path")
    return ".".join(names), info


def _model_in(annotation: object) -> Model | None:
    candidates = [annotation, *get_args(annotation)]
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)
