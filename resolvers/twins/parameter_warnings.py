"""Warnings about parameters that the component version does not declare: they are accepted, but may be mistakes."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from documents.twins.component_version import ComponentVersion
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.twins.parameters import declared_names

InputWarning = dict[str, Any]
"""`path` leads to the cause of the warning from the mutation's input, `message` is for people."""

MAX_WARNINGS = 100
"""Warnings in one answer; a final one says that there are more."""
MAX_COMPARED = 100
"""Declared names with which one undeclared name is compared."""
MAX_COMPARED_LENGTH = 40
"""Letters of compared names, since the cost grows with the square of their length."""
MIN_SIMILARITY = 0.7


def parameter_warnings(version: ComponentVersion, given: Any, *path: str) -> Iterator[InputWarning]:
    """A warning for each given name that the version does not declare, or that it also declares as a secret."""
    names = declared_names(version)
    for name in given if isinstance(given, dict) else ():
        if name not in names:
            yield {"path": ["input", *path, name], "message": _undeclared_message(version, name)}
        elif name in version.secrets:
            message = (
                f"Version {version.version} declares {name} as a parameter and as a secret. A value given here is "
                "stored, and shown with the step: leave it out if it is secret."
            )
            yield {"path": ["input", *path, name], "message": message}


def left_out_warnings(version: ComponentVersion, names: Iterable[str], *path: str) -> Iterator[InputWarning]:
    """A warning for each parameter whose value is not taken over from another version of the component."""
    for name in names:
        message = (
            f"Version {version.version} does not take {preview(name)}, unlike the previous version; it is left out."
        )
        yield {"path": ["input", *path], "message": message}


def first_warnings(warnings: Iterator[InputWarning]) -> list[InputWarning]:
    """The first of many warnings. Further ones are not computed."""
    first = list(islice(warnings, MAX_WARNINGS + 1))
    if len(first) > MAX_WARNINGS:
        message = f"There are more than {MAX_WARNINGS} warnings; no more are listed."
        first[MAX_WARNINGS:] = [{"path": ["input"], "message": message}]
    return first


def _undeclared_message(version: ComponentVersion, name: str) -> str:
    similar = _most_similar(name, [parameter.name for parameter in version.parameters[:MAX_COMPARED]])
    meant = f" The most similar one that it declares is {similar}." if similar else ""
    return f"Version {version.version} declares no parameter {preview(name)}; its value is passed on unchanged.{meant}"


def _most_similar(name: str, names: list[str]) -> str | None:
    """The most similar name, ignoring case; None when none is similar."""
    if len(name) > MAX_COMPARED_LENGTH:
        return None
    names_by_folded = {name.casefold(): name for name in reversed(names) if len(name) <= MAX_COMPARED_LENGTH}
    matches = get_close_matches(name.casefold(), names_by_folded, n=1, cutoff=MIN_SIMILARITY)
    return names_by_folded[matches[0]] if matches else None
