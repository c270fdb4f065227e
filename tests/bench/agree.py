"""Whether servers give the same answer: the order of fields and the spelling of times aside."""

import re
from datetime import datetime
from typing import Any

import orjson

from tests.bench.cases import Case
from tests.bench.load import ask
from tests.bench.servers import Server

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Disagreement(Exception):
    """Servers that are compared give different answers, so that comparing their speed would mean nothing."""


async def check(case: Case, ours: Server, others: list[Server]) -> int:
    """Compare what all answer to a case; the length of our answer in bytes. Raises Disagreement."""
    expected = await _answer(case, ours)
    for other in others:
        found = await _answer(case, other)
        # Nearly always they are the same bytes, which spares reading millions of values.
        if found.strip() == expected:
            continue
        difference = first_difference(normalise(expected), normalise(found))
        if difference:
            raise Disagreement(f"{ours.name} and {other.name} differ in {case.name} at {difference}")
    return len(expected)


async def _answer(case: Case, server: Server) -> bytes:
    address = server.addresses[0]
    return await ask(address, case.sample(address))


def normalise(body: bytes) -> Any:
    """The answer with its times as instants."""
    return _instants(orjson.loads(body))


def _instants(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _instants(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_instants(one) for one in value]
    if isinstance(value, str) and TIME.fullmatch(value):
        return datetime.fromisoformat(value)
    return value


def first_difference(one: Any, other: Any, path: str = "answer") -> str | None:
    """The first difference of two values, with its path; None if they are equal."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{path}.{name}", value, other[name]) for name, value in one.items()]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{n}]", *both) for n, both in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other else f"{path}: {str(one)[:80]} against {str(other)[:80]}"
    found = (first_difference(left, right, below) for below, left, right in pairs)
    return next((difference for difference in found if difference), None)
