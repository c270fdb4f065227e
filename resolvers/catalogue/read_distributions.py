"""Reading the documents of a run, all of them before anything is written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from documents.catalogue.dataset import Subject
from resolvers.formats.csvw import Csvw, read_csvw
from resolvers.formats.csvw_subject import are_different_datasets
from resolvers.user_errors import InvalidInput, LimitExceeded, Refusal, Refusals
from resolvers.validators import check_line

Given = dict[str, Any]

MOST = 200
EXPECTED = "expected_latest_version_id"


@dataclass(frozen=True)
class Expected:
    """The version that a run expects to be the newest of its dataset; None when it expects none."""

    version_id: str | None


@dataclass(frozen=True)
class Reported:
    """A document that a run made, and the dataset that it belongs to.

    `is_named` says that the report names the dataset; otherwise `dataset` is the document's own name for it, which is
    not necessarily unique.
    """

    dataset: str
    is_named: bool
    subject: Subject
    title: str | None
    text: str
    csvw: Csvw
    expected: Expected | None = None
    """None: publish whatever the newest version is."""


def read_distributions(given: list[Given]) -> list[Reported]:
    """All documents, parsed. Raises Refusals with everything that is wrong with any of them."""
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
    named = check_line(given.get("dataset"), *path, "dataset")
    dataset = named or csvw.identifier
    if dataset is None:
        raise InvalidInput("The document names no dataset, so dataset must be given.", *path, "dataset")
    expected = Expected(given[EXPECTED]) if EXPECTED in given else None
    subject = csvw.subject.model_copy(update={"document": given.get("document")})
    title = check_line(given.get("title"), *path, "title")
    return Reported(dataset, named is not None, subject, title, text, csvw, expected)


def _text(given: Given, *path: str) -> tuple[str, str]:
    """The input that was used, and the document's text."""
    value, text = given.get("csvw"), given.get("csvw_text")
    if (value is None) == (text is None):
        raise InvalidInput("Give either csvw or csvwText.", *path, "csvw" if text is None else "csvwText")
    if text is not None:
        return "csvwText", text
    try:
        return "csvw", json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"csvw cannot be written as JSON: {error}.", *path, "csvw") from error


def _repeats(read: list[Reported]) -> Iterator[Refusal]:
    """A refusal for each further document of a dataset in the report, unless both are evidently about different
    datasets."""
    first: dict[str, int] = {}
    for number, one in enumerate(read):
        earlier = read[first.setdefault(one.dataset, number)]
        if earlier is not one and (one.is_named or earlier.is_named or not _are_others(earlier, one)):
            yield InvalidInput(
                f"Distributions {first[one.dataset]} and {number} are both for the dataset {one.dataset}.",
                "distributions",
                str(number),
                "dataset",
            )


def _are_others(one: Reported, other: Reported) -> bool:
    return are_different_datasets(one.subject, other.subject, one.dataset)
