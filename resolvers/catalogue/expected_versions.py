"""Checking the versions that a pipeline expects, so that a stale run does not publish over a newer version."""

from collections.abc import Iterator

import documents
from documents.mongo.transaction import Session
from resolvers.catalogue.read_distributions import Reported
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import MAX_SHOWN_LENGTH, Refusal, Refusals


class VersionConflict(Refusal):
    """The dataset has another newest version than the client expects. `latest` is its row, None before the first."""

    code = "REVISION_CONFLICT"

    def __init__(self, dataset: str, expected: str | None, latest: Row | None, *path: str) -> None:
        super().__init__(_message(dataset, expected, latest), *path)
        self.expected = expected
        self.latest = latest


def _message(dataset: str, expected: str | None, latest: Row | None) -> str:
    if latest is None:
        return f"{dataset} has no version yet, so {expected} cannot be its newest one."
    said = expected or "null, which means no version"
    return f"The newest version of {dataset} is {latest['label']} ({latest['_id']}), not {said}."


async def check_latest(known: dict[str, Row], reported: list[Reported], session: Session) -> None:
    """Raise Refusals with a VersionConflict for each dataset whose newest version is not the expected one.

    `known` has the existing datasets, by identifier.
    """
    behind = list(_behind(known, reported))
    if not behind:
        return
    match = {"_id": {"$in": [latest for _, _, latest in behind if latest]}}
    found = await collection_of(documents.DatasetVersion).find(match, session=session).to_list()
    rows = {row["_id"]: row for row in found}
    raise Refusals([_conflict(number, one, rows.get(latest)) for number, one, latest in behind])


def _behind(known: dict[str, Row], reported: list[Reported]) -> Iterator[tuple[int, Reported, str | None]]:
    for number, one in enumerate(reported):
        latest = known.get(one.dataset, {}).get("latestVersionRef")
        if one.expected and one.expected.version_id != latest:
            yield number, one, latest


def _conflict(number: int, one: Reported, latest: Row | None) -> VersionConflict:
    expected = one.expected.version_id if one.expected else None
    return VersionConflict(
        one.dataset,
        expected and expected[:MAX_SHOWN_LENGTH],
        latest,
        "distributions",
        str(number),
        "expectedLatestVersionId",
    )
