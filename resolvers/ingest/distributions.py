"""Reading the documents that a run made, all of them before anything is written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from resolvers.checks import a_line
from resolvers.ingest.csvw import Csvw, read_csvw
from resolvers.refusals import InvalidInput, LimitExceeded, Refusal, Refusals

Given = dict[str, Any]

MOST = 200


@dataclass(frozen=True)
class Reported:
    """A document that a run made, and the dataset that it is a state of."""

    dataset: str
    title: str | None
    text: str
    csvw: Csvw


def read_distributions(given: list[Given]) -> list[Reported]:
    """Every document with what it says. Raises Refusals with all that is wrong with any of them."""
    if len(given) > MOST:
        raise LimitExceeded(f"{len(given)} distributions; one call takes at most {MOST}.", "distributions")
    read: list[Reported] = []
    refusals: list[Refusal] = []
    for number, one in enumerate(given):
        try:
            read.append(_read(one, "distributions", str(number)))
        except Refusal as refusal:
            refusals.append(refusal)
    if refusals := refusals or list(_repeats(read)):
        raise Refusals(refusals)
    return read


def _read(given: Given, *path: str) -> Reported:
    name, text = _text(given, *path)
    try:
        csvw = read_csvw(text)
    except Refusal as refusal:
        raise InvalidInput(refusal.message, *path, name, code=refusal.error_code) from refusal
    dataset = a_line(given.get("dataset"), *path, "dataset") or csvw.identifier
    if dataset is None:
        raise InvalidInput("The document names no dataset, so dataset must be given.", *path, "dataset")
    return Reported(dataset, a_line(given.get("title"), *path, "title"), text, csvw)


def _text(given: Given, *path: str) -> tuple[str, str]:
    """Which of the two inputs was used, and the document's text."""
    value, text = given.get("csvw"), given.get("csvw_text")
    if (value is None) == (text is None):
        raise InvalidInput("Give csvw or csvwText, one of the two.", *path, "csvw" if text is None else "csvwText")
    if text is not None:
        return "csvwText", text
    try:
        return "csvw", json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"csvw has no JSON text: {error}.", *path, "csvw") from error


def _repeats(read: list[Reported]) -> Iterator[Refusal]:
    """A refusal for each document whose dataset has one already."""
    first: dict[str, int] = {}
    for number, one in enumerate(read):
        if first.setdefault(one.dataset, number) != number:
            yield InvalidInput(
                f"Distributions {first[one.dataset]} and {number} are both for the dataset {one.dataset}.",
                "distributions",
                str(number),
                "dataset",
            )
