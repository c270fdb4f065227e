"""The reference of limits: what a client can meet, with the values that the code has."""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import graph.limits
import resolvers.limits
from tests.docs.tables import table

HEADING = re.compile(r"\s*# == (.+) ==$")
UNITS = {"Seconds": timedelta(seconds=1), "Hours": timedelta(hours=1)}


def read_limits() -> dict[str, dict[str, int]]:
    """The limits by heading; each name is the subject of a sentence, "at most so many …"."""
    tables: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for module in (graph.limits, resolvers.limits):
        for heading, text, value in _limits_in(module):
            subject = re.split(r"\.(?:\s|$)", text, maxsplit=1)[0]
            tables[heading][_in_a_sentence(subject)] = _number(value, subject)
    return dict(tables)


def tables() -> str:
    """A heading and a table for each group of limits."""
    return "\n\n".join(f"## {heading}\n\n{_table(limits)}" for heading, limits in read_limits().items())


def _limits_in(module: ModuleType) -> Iterator[tuple[str, str, Any]]:
    """The heading, description and value of each constant of a module, and of each field of its classes, in order."""
    source = inspect.getsource(module)
    lines = enumerate(source.splitlines(), 1)
    headings = [(number, match[1]) for number, line in lines if (match := HEADING.match(line))]
    for owner, statement, below in _statements(module, ast.parse(source).body):
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            (target,) = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            assert isinstance(target, ast.Name)
            assert isinstance(below, ast.Expr), f"{target.id} has no description"
            heading = [title for number, title in headings if number < statement.lineno][-1]
            yield heading, " ".join(ast.literal_eval(below.value).split()), getattr(owner, target.id)


def _statements(owner: object, body: list[ast.stmt]) -> Iterator[tuple[object, ast.stmt, ast.stmt | None]]:
    """The statements of a module or class, each with its owner and the one below, those of classes in their places."""
    for statement, below in zip(body, [*body[1:], None], strict=True):
        yield owner, statement, below
        if isinstance(statement, ast.ClassDef):
            yield from _statements(getattr(owner, statement.name), statement.body)


def _in_a_sentence(subject: str) -> str:
    """The subject with a small initial, unless it begins with a name."""
    first = subject.partition(" ")[0]
    return subject if first != first.capitalize() else subject[0].lower() + subject[1:]


def _number(value: float | timedelta, subject: str) -> int:
    return int(value / UNITS[subject.partition(" ")[0]] if isinstance(value, timedelta) else value)


def _table(limits: dict[str, int]) -> str:
    return table(("what", "at most"), ((name, f"{value:,}") for name, value in limits.items()))
