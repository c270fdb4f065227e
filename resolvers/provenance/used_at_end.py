"""Recording artifacts that an activity turns out to have used, as its worker reports them at the end."""

from collections.abc import Sequence

from documents.mongo.transaction import Session
from documents.provenance.external_data import external_data_id
from documents.provenance.used import MAX_USED, Used, stored_used
from resolvers.access.viewer import Viewer
from resolvers.provenance.external_data.external_state import ExternalState, Reporter, upsert_external_data
from resolvers.provenance.external_data.external_url import without_query
from resolvers.provenance.used import UsedValues, external_states, named_artifacts, unique_used
from resolvers.reads.rows import Row


async def record_used_at_end(
    activity: Row, values: Sequence[UsedValues] | None, reporter: Reporter, viewer: Viewer, session: Session
) -> Row:
    """Store the data elsewhere that an activity used; returns the fields to store with the update that ends it: what is
    recorded already, and then what is said now. Empty where nothing is said.

    What was assumed of a URL gives way to the exact state that was read there. At most MAX_USED artifacts are stored,
    the first ones. Raises as `record_used` does.
    """
    before = [Used.model_validate(row) for row in activity.get("used") or []]
    named = await named_artifacts(values, viewer, session, "used", known=before)
    if named is None:
        return {}
    states = external_states(named)
    await upsert_external_data(states, reporter, session)
    replaced = _assumed_ids(states)
    kept = [used for used in before if not (used.assumed and used.ref in replaced)]
    used = unique_used([*kept, *(artifact.used for artifact in named)])
    fields: Row = {"used": stored_used(used[:MAX_USED])}
    return fields | ({"used_truncated": True} if len(used) > MAX_USED else {})


def _assumed_ids(states: list[ExternalState]) -> set[str]:
    """The ids under which it may have been assumed that these URLs are read: with and without their queries."""
    urls = {state.url for state in states if state.version is not None or state.sha256 is not None}
    return {external_data_id(url, None, None) for url in urls | set(map(without_query, urls))}
