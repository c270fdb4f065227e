"""Generations as owners change them: making one active, so that readers see it, and discarding one."""

import documents
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.galaxy.discard import discard_with_ingestions
from resolvers.galaxy.generation_switch import ACTIVE, READY, RETIRED, switch_to
from resolvers.galaxy.ingestion_queue import queue_ingest
from resolvers.galaxy.instance import own_instance
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidState, Refusal
from resolvers.writes.store import get_readable
from resolvers.writes.transaction import Outcome


class OtherGenerationActive(Refusal):
    """Another generation is active than the one that the client expects."""

    code = "REVISION_CONFLICT"


async def activate(generation: Row, session: Session) -> Row:
    """Make the generation ACTIVE, whatever its status, and return it.

    Archives that it lacks are queued if its parser is that of this release.
    """
    active = await switch_to(generation, session)
    if active["parser_version"] == PARSER_VERSION:
        instance = await collection_of(documents.Instance).find_one({"_id": active["instanceRef"]}, session=session)
        if instance is not None:
            await queue_ingest(instance, None, session)
    return active


async def activate_generation(
    session: Session, viewer: Viewer, *, generation_id: str, expected_active_generation_id: str | None = None
) -> Outcome:
    """Make the generation active, so that readers see it, and return it; an active one is returned unchanged.

    Raises NotFound, Forbidden, OtherGenerationActive when another is active than expected, and InvalidState for one
    that is incomplete or was discarded.
    """
    generation, instance = await _get_own_generation(generation_id, viewer, session)
    active = instance.get("activeGenerationRef")
    if expected_active_generation_id not in (None, active):
        raise OtherGenerationActive(
            f"{active or 'No generation'} is active, not {expected_active_generation_id}.", "expectedActiveGenerationId"
        )
    if generation["status"] == ACTIVE.value:
        return {"generation": generation}
    _check_status(generation, "made active")
    return {"generation": await activate(generation, session)}


async def discard_generation(session: Session, viewer: Viewer, *, generation_id: str) -> Outcome:
    """Discard the generation and return it. Raises NotFound, Forbidden, and InvalidState for one that is active or
    incomplete."""
    generation, _ = await _get_own_generation(generation_id, viewer, session)
    _check_status(generation, "discarded")
    return {"generation": await discard_with_ingestions(generation, "The generation was discarded.", session)}


async def _get_own_generation(id: str, viewer: Viewer, session: Session) -> tuple[Row, Row]:
    """A generation of one of the viewer's own instances, and that instance."""
    require_role(viewer, Role.USER, Role.WORKER)
    generation = await get_readable(documents.Generation, id, viewer, session, "generationId")
    return generation, await own_instance(generation["instanceRef"], viewer, session, "generationId")


def _check_status(generation: Row, action: str) -> None:
    allowed = [READY.value, RETIRED.value]
    if generation["status"] not in allowed:
        raise InvalidState(
            f"{generation['_id']} is {generation['status']}; only {' and '.join(allowed)} ones are {action}.",
            "generationId",
            current=generation["status"],
            allowed=allowed,
        )
