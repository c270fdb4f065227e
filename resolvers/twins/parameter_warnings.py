"""Warnings about parameters that the component version does not declare: they are accepted, but may be mistakes."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from documents.twins.component_version import ComponentVersion
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.twins.parameters import declared

InputWarning = dict[str, Any]
"""`path` leads to the cause of the warning from the mutation's input, `message` is for people."""

MAX_WARNINGS = 100
"""Warnings in one answer; a final one says that there are more."""
MAX_COMPARED = 100
"""Declared names with which one undeclared name is compared."""
MAX_COMPARED_LENGTH = 40
"""Letters of compared names, since the cost grows with the square of their length."""
SIMILAR = 0.7


def parameter_warnings(version: ComponentVersion, given: Any, *path: str) -> Iterator[InputWarning]:
    """A warning for each given name that the version does not declare, or that it also declares as a secret."""
    names = declared(version)
    for name in given if isinstance(given, dict) else ():
        if name not in names:
            yield {"path": ["input", *path, name], "message": _undeclared(version, name)}
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
    """The first of many warnings. The others are not even computed."""
    found = list(islice(warnings, MAX_WARNINGS + 1))
    if len(found) > MAX_WARNINGS:
        message = f"There are more than {MAX_WARNINGS} warnings; no more are listed."
        found[MAX_WARNINGS:] = [{"path": ["input"], "message": message}]
    return found


def _undeclared(version: ComponentVersion, name: str) -> str:
    nearest = _nearest(name, [one.name for one in version.parameters[:MAX_COMPARED]])
    meant = f" The most similar one that it declares is {nearest}." if nearest else ""
    return f"Version {version.version} declares no parameter {preview(name)}; its value is passed on unchanged.{meant}"


def _nearest(name: str, names: list[str]) -> str | None:
    """The most similar name, ignoring case; None when none is similar."""
    if len(name) > MAX_COMPARED_LENGTH:
        return None
    by_plain = {one.casefold(): one for one in reversed(names) if len(one) <= MAX_COMPARED_LENGTH}
    found = get_close_matches(name.casefold(), by_plain, n=1, cutoff=SIMILAR)
    return by_plain[found[0]] if found else None
