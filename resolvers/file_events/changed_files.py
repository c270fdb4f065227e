"""The files that made a transform due, as data that it uses: each in the state that was reported last."""

from typing import NamedTuple

import documents
from documents.catalogue.transform import TransformCause
from documents.mongo.transaction import Session
from documents.provenance.used import stored_used
from resolvers.provenance.external_data.external_state import ExternalState
from resolvers.provenance.external_data.external_url import external_url
from resolvers.provenance.used import unique_used
from resolvers.reads.rows import Row, collection_of


class ChangedFiles(NamedTuple):
    """Files that made a transform due. `are_all` says whether they are all that did."""

    states: list[ExternalState]
    are_all: bool

    @property
    def frozen(self) -> Row:
        """The fields of a transform that freeze what it uses; none where nobody can say."""
        if not self.states:
            return {}
        used = unique_used(state.used(declared=True) for state in self.states)
        return {"used": stored_used(used), "used_truncated": not self.are_all}


async def changed_files(transform_id: str, session: Session) -> ChangedFiles:
    """The files that made a transform due. Of many the first are listed, and those alone that are data elsewhere."""
    row = await collection_of(documents.Transform).find_one({"_id": transform_id}, {"cause": 1}, session=session)
    if not (row and row.get("cause")):
        return ChangedFiles([], are_all=True)
    cause = TransformCause.model_validate(row["cause"])
    states = [_state(file, cause, place) for place, file in enumerate(cause.files)]
    named = [state for state in states if state is not None]
    return ChangedFiles(named, are_all=len(named) == cause.file_count)


def _state(file: str, cause: TransformCause, place: int) -> ExternalState | None:
    """The state of the file at a place of the cause, None for one that is not data at a URL of a known kind."""
    url = external_url(file)
    if url is None:
        return None
    seen = cause.states[place] if place < len(cause.states) else None
    return ExternalState(url, seen.generation, seen.sha256, seen.file_size) if seen else ExternalState(url)
