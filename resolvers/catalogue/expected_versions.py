"""Checking the versions that a pipeline expects, so that a stale run does not publish over a newer version."""

from collections.abc import Iterator

import documents
from documents.mongo.transaction import Session
from resolvers.catalogue.read_distributions import ReportedDocument
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import MAX_SHOWN_LENGTH, Refusal, Refusals


class VersionConflict(Refusal):
    """The dataset has another newest version than the client expects. `latest` is its row, None before the first."""

    code = "REVISION_CONFLICT"

    def __init__(self, dataset: str, expected: str | None, latest: Row | None, *path: str) -> None:
        super().__init__(_conflict_message(dataset, expected, latest), *path)
        self.expected = expected
        self.latest = latest


def _conflict_message(dataset: str, expected: str | None, latest: Row | None) -> str:
    if latest is None:
        return f"{dataset} has no version yet, so {expected} cannot be its newest one."
    expectation = expected or "null, which means no version"
    return f"The newest version of {dataset} is {latest['label']} ({latest['_id']}), not {expectation}."


async def check_expected_versions(existing: dict[str, Row], reported: list[ReportedDocument], session: Session) -> None:
    """Raise Refusals with a VersionConflict for each dataset whose newest version is not the expected one.

    `existing` has the datasets of the resource, by identifier.
    """
    mismatches = list(_mismatches(existing, reported))
    if not mismatches:
        return
    match = {"_id": {"$in": [latest for _, _, latest in mismatches if latest]}}
    versions = await collection_of(documents.DatasetVersion).find(match, session=session).to_list()
    rows = {row["_id"]: row for row in versions}
    raise Refusals([_conflict(number, document, rows.get(latest)) for number, document, latest in mismatches])


def _mismatches(
    existing: dict[str, Row], reported: list[ReportedDocument]
) -> Iterator[tuple[int, ReportedDocument, str | None]]:
    """The documents whose dataset has another newest version than expected: number, document and that version's id."""
    for number, document in enumerate(reported):
        latest = existing.get(document.dataset, {}).get("latestVersionRef")
        if document.expected and document.expected.version_id != latest:
            yield number, document, latest


def _conflict(number: int, document: ReportedDocument, latest: Row | None) -> VersionConflict:
    expected = document.expected.version_id if document.expected else None
    return VersionConflict(
        document.dataset,
        expected and expected[:MAX_SHOWN_LENGTH],
        latest,
        "distributions",
        str(number),
        "expectedLatestVersionId",
    )
