"""Artifacts that clients name as used, by their ids, with what is stored of them with the activity."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

import documents
from documents.base import kind_of
from documents.mongo.transaction import Session
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.filters import all_of
from resolvers.provenance.external_data.external_state import ExternalState
from resolvers.provenance.kinds import ARTIFACTS
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import ChecksumMismatch, InvalidInput

FIELDS = ["sha256", "url", "version", "content_hash"]
"""Stored fields of which an artifact is made."""


class Artifact(NamedTuple):
    """An artifact: its id and the SHA-256 of its bytes, where that is known; of data that lies elsewhere its state, and
    of a generation the hash of its jobs so far."""

    id: str
    sha256: str | None = None
    state: ExternalState | None = None
    content_hash: str | None = None

    def checked_sha256(self, sha256: str | None, *path: str) -> str | None:
        """The SHA-256 to store with an activity that used the artifact, given the one that a client named.

        Raises ChecksumMismatch where the artifact has another, and InvalidInput where it has none of its own.
        """
        if sha256 is None or sha256 == self.sha256:
            return self.sha256
        if self.sha256 is not None:
            raise ChecksumMismatch(f"{self.id} has the SHA-256 {self.sha256}, not {sha256}.", *path)
        if kind_of(self.id) == documents.Output.kind:
            return sha256
        if kind_of(self.id) == documents.ExternalData.kind:
            raise InvalidInput(f"The SHA-256 of {self.id} is unknown: give its url, version and sha256 instead.", *path)
        raise InvalidInput(f"{self.id} is more than one file and has no SHA-256: leave sha256 out.", *path)


async def artifacts_by_id(ids: Iterable[str], viewer: Viewer, session: Session) -> dict[str, Artifact]:
    """The artifacts with these ids that the viewer may read. A dataset version stands for its distribution."""
    by_document: defaultdict[Document, list[str]] = defaultdict(list)
    for id in sorted(set(ids)):
        document = documents.by_kind(id)
        by_document[document if document in ARTIFACTS else documents.DatasetVersion].append(id)
    version_ids = by_document.pop(documents.DatasetVersion, [])
    found: dict[str, Artifact] = {}
    for document, of_kind in by_document.items():
        rows = await readable_rows(document, of_kind, FIELDS, viewer, session)
        found |= {row["_id"]: _artifact(row) for row in rows}
    versions = await readable_rows(documents.DatasetVersion, version_ids, ["distributionRef"], viewer, session)
    distributions = {version["distributionRef"] for version in versions}
    rows = await readable_rows(documents.Distribution, distributions, FIELDS, viewer, session)
    served = {row["_id"]: _artifact(row) for row in rows}
    return found | {row["_id"]: served[row["distributionRef"]] for row in versions if row["distributionRef"] in served}


async def readable_rows(
    document: Document, ids: Collection[str], fields: list[str], viewer: Viewer, session: Session
) -> list[Row]:
    """The rows of a kind with these ids that the viewer may read."""
    match = all_of([{"_id": {"$in": sorted(ids)}}, readable(document, viewer)])
    return await collection_of(document).find(match, fields, session=session).to_list() if ids else []


def _artifact(row: Row) -> Artifact:
    is_external = kind_of(row["_id"]) == documents.ExternalData.kind
    state = ExternalState(row["url"], row["version"], row["sha256"]) if is_external else None
    return Artifact(row["_id"], row.get("sha256"), state, row.get("content_hash"))
