"""The names in an expression in PromQL: metrics, the labels by which it tells them apart, and their values."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*")|(?P<range>\[[^\]]*\])|(?P<number>\d[\d.]*(?:e[+-]?\d+)?[smhdwy]?)"""
    r"""|(?P<name>[A-Za-z_:$][A-Za-z0-9_:]*)|(?P<match>=~|!~|!=|==|<=|>=|=)|(?P<sign>[^\s])"""
)
GROUPINGS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
OPERATORS = frozenset({"and", "or", "unless", "bool", "offset"}) | GROUPINGS

AFTER_FUNCTIONS = frozenset({"(", "by", "without"})
"""Words that follow upon the name of a function, as in `sum by (label) (…)`."""


@dataclass
class Question:
    """The names in an expression."""

    metrics: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    values: set[tuple[str, str, str]] = field(default_factory=set)
    """Metric, label and value of each `label="value"`; of `label=~"a|b"` each of the alternatives."""


def question_of(expression: str) -> Question:
    """The names in an expression."""
    tokens = [(match.lastgroup or "", match[0]) for match in TOKEN.finditer(expression)]
    question, metric, place = Question(), "", 0
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if text in GROUPINGS and following == "(":
            place = _read_labels(tokens, place + 2, ")", "", question)
        elif text == "{":
            place = _read_labels(tokens, place + 1, "}", metric, question)
        elif kind == "name" and text not in OPERATORS and following not in AFTER_FUNCTIONS:
            metric = text
            question.metrics.add(text)
        place += 1
    return question


def _read_labels(tokens: list[tuple[str, str]], place: int, end: str, metric: str, question: Question) -> int:
    """Read labels up to the bracket that ends them; returns its place."""
    label = operator = ""
    while tokens[place][1] != end:
        kind, text = tokens[place]
        if kind == "name":
            label = text
            question.labels.add(label)
        elif kind == "match":
            operator = text
        elif kind == "text" and operator in ("=", "=~"):
            question.values |= {(metric, label, value) for value in text[1:-1].split("|")}
        place += 1
    return place
