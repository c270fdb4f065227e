"""Parsing the documents of a run, all of them before anything is written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

from documents.catalogue.dataset import Subject
from resolvers.formats.csvw import Csvw, read_csvw
from resolvers.formats.csvw_subject import are_different_datasets
from resolvers.limits import MAX_DISTRIBUTIONS
from resolvers.user_errors import InvalidInput, LimitExceeded, Refusal, Refusals
from resolvers.validators import check_line


class DistributionValues(TypedDict, total=False):
    """A document as a client or an import reports it; `document` is the path at which an import found it."""

    dataset: str | None
    title: str | None
    csvw: Any
    csvw_text: str | None
    expected_latest_version_id: str | None
    document: str | None


@dataclass(frozen=True)
class ExpectedVersion:
    """The version that a run expects to be the newest of its dataset; None when it expects none."""

    version_id: str | None


@dataclass(frozen=True)
class ReportedDocument:
    """A document that a run produced, and the dataset that it belongs to.

    `is_named` says that the report names the dataset; otherwise `dataset` is the document's own name for it, which is
    not necessarily unique.
    """

    dataset: str
    is_named: bool
    subject: Subject
    title: str | None
    text: str
    csvw: Csvw
    expected: ExpectedVersion | None = None
    """None: publish whatever the newest version is."""


def read_distributions(inputs: list[DistributionValues]) -> list[ReportedDocument]:
    """Parse all documents of a run. Raises Refusals with everything that is wrong with any of them."""
    if len(inputs) > MAX_DISTRIBUTIONS:
        raise LimitExceeded(
            f"{len(inputs)} distributions are too many; at most {MAX_DISTRIBUTIONS} are allowed.", "distributions"
        )
    read: list[ReportedDocument] = []
    refusals: list[Refusal] = []
    for number, values in enumerate(inputs):
        try:
            read.append(_read(values, "distributions", str(number)))
        except Refusal as refusal:
            refusals.append(refusal)
    if refusals := refusals or list(_repeated_datasets(read)):
        raise Refusals(refusals)
    return read


def _read(values: DistributionValues, *path: str) -> ReportedDocument:
    name, text = _text(values, *path)
    try:
        csvw = read_csvw(text)
    except Refusal as refusal:
        raise InvalidInput(refusal.message, *path, name, code=refusal.error_code) from refusal
    given_name = check_line(values.get("dataset"), *path, "dataset")
    dataset = given_name or csvw.identifier
    if dataset is None:
        raise InvalidInput("The document names no dataset, so dataset must be given.", *path, "dataset")
    expected = None
    if "expected_latest_version_id" in values:
        expected = ExpectedVersion(values["expected_latest_version_id"])
    subject = csvw.subject.model_copy(update={"document": values.get("document")})
    title = check_line(values.get("title"), *path, "title")
    return ReportedDocument(dataset, given_name is not None, subject, title, text, csvw, expected)


def _text(values: DistributionValues, *path: str) -> tuple[str, str]:
    """The name of the input field that was given, and the document's text."""
    value, text = values.get("csvw"), values.get("csvw_text")
    if (value is None) == (text is None):
        raise InvalidInput("Give either csvw or csvwText.", *path, "csvw" if text is None else "csvwText")
    if text is not None:
        return "csvwText", text
    try:
        return "csvw", json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"csvw cannot be written as JSON: {error}.", *path, "csvw") from error


def _repeated_datasets(read: list[ReportedDocument]) -> Iterator[Refusal]:
    """A refusal for each further document of a dataset in the report, unless both are evidently about different
    datasets."""
    first: dict[str, int] = {}
    for number, document in enumerate(read):
        name = document.dataset
        earlier = read[first.setdefault(name, number)]
        if earlier is document:
            continue
        is_named = document.is_named or earlier.is_named
        if is_named or not are_different_datasets(earlier.subject, document.subject, name):
            yield InvalidInput(
                f"Distributions {first[name]} and {number} are both for the dataset {name}.",
                "distributions",
                str(number),
                "dataset",
            )
