"""Reporting the end of an activity, with what it used."""

from graph.clients.worker.client import GraphQLClient, Json, MutationError
from graph.clients.worker.lease_renewal import Lease
from graph.clients.worker.queries import COMPLETE
from graph.clients.worker.used import Note, note_not_recorded

MAX_CORRECTIONS = 3
"""Reports after which nothing is reported as used, because the server still refuses some of it."""
USED = ["input", "used"]


async def complete_activity(
    client: GraphQLClient, lease: Lease, note: Note, ending: Json, used: list[Json] | None
) -> None:
    """Report the end of the activity that the lease is for, `ending` being the input of the mutation without `used`.

    An activity that succeeded must not fail for what it says that it used: what the server refuses is noted in its log
    and left out. Raises MutationError, LeaseLost, ConfigurationError and RetryTimeout.
    """
    for correction in range(MAX_CORRECTIONS + 1):
        if lease.completed_elsewhere:
            return
        try:
            await client.mutate(COMPLETE, **ending, **({} if used is None else {"used": used}))
        except MutationError as refusal:
            if not (refused := [error for error in refusal.errors if error["path"][:2] == USED]):
                lease.handle_refusal(refusal)
                return
            await note_not_recorded(note, [error["message"] for error in refused])
            used = _entries_without(used or [], refused) if correction < MAX_CORRECTIONS - 1 else None
        else:
            return


def _entries_without(used: list[Json], refused: list[Json]) -> list[Json] | None:
    """The entries that were not refused, None when none is left: an empty list would say that nothing was used."""
    numbers = {error["path"][2] for error in refused if len(error["path"]) > 2}
    accepted = [entry for number, entry in enumerate(used) if str(number) not in numbers]
    return accepted if numbers and accepted else None
