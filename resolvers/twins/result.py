"""Writing results: outputs of an execution gathered under a title."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import documents
from documents.mongo.transaction import Session
from resolvers.access.policies import owns, readable
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import MAX_RESULT_OUTPUTS
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.digital_twin import lock_twin
from resolvers.twins.execution import get_own_execution
from resolvers.twins.twin_rights import readers_of
from resolvers.user_errors import Forbidden, InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.validators import check_line, check_not_null, check_tags, check_text
from resolvers.writes.store import get_readable, insert, update
from resolvers.writes.transaction import Outcome, require_lock


class ResultChanges(TypedDict, total=False):
    """The fields of a result that its owner changes, besides its outputs."""

    title: str | None
    description: str | None
    tags: list[str] | None


async def create_result(
    session: Session,
    viewer: Viewer,
    *,
    execution_id: str,
    title: str,
    description: str | None,
    tags: list[str] | None,
    output_ids: Sequence[str],
) -> Outcome:
    """Create a result of an execution and return it.

    Raises NotFound and Forbidden for the execution, and Refusals with everything that is wrong with the rest.
    """
    require_role(viewer, Role.USER)
    await require_lock(viewer.key, execution_id)
    execution = await get_own_execution(execution_id, viewer, session, "executionId")
    refusals: list[Refusal] = []
    facts = _validated_facts({"title": title, "description": description, "tags": tags}, refusals)
    with collect_refusals(refusals):
        _check_count(output_ids, "outputIds")
        await _check_outputs_belong(output_ids, execution["_id"], viewer, session, "outputIds")
    if refusals:
        raise Refusals(refusals)
    twin = await lock_twin(execution["digitalTwinRef"], session)
    result = documents.Result(
        digital_twin_ref=twin["_id"],
        execution_ref=execution["_id"],
        owner_ref=twin["userRef"],
        public=twin["public"],
        reader_refs=readers_of(twin),
        output_refs=list(dict.fromkeys(output_ids)),
        **facts,
    )
    return {"result": await insert(result, session)}


async def update_result(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    add_output_ids: Sequence[str] | None = None,
    remove_output_ids: Sequence[str] | None = None,
    **changes: Unpack[ResultChanges],
) -> Outcome:
    """Change a result and return it. Adding present outputs, and removing absent ones, has no effect.

    Raises NotFound, Forbidden, RevisionConflict, and Refusals with everything that is wrong with the changes.
    """
    require_role(viewer, Role.USER)
    await require_lock(viewer.key, id)
    result = await get_readable(documents.Result, id, viewer, session, "id")
    if not owns(viewer, result["ownerRef"]):
        raise Forbidden(f"Result {id} belongs to somebody else.", "id")
    added, removed = add_output_ids or [], set(remove_output_ids or [])
    refusals: list[Refusal] = []
    values = _validated_facts(changes, refusals)
    with collect_refusals(refusals):
        values["output"] = _new_output_ids(result, added, removed)
        await _check_outputs_belong(added, result["executionRef"], viewer, session, "addOutputIds")
    if refusals:
        raise Refusals(refusals)
    # A change of the row since it was read above makes this transaction retry, so no added output is lost.
    return {"result": await update(documents.Result, result, values, expected_revision, session)}


def _validated_facts(changes: ResultChanges, refusals: list[Refusal]) -> dict[str, Any]:
    """The validated fields of a result, as stored. Refusals are added to `refusals`."""
    facts: dict[str, Any] = {}
    with collect_refusals(refusals):
        if "title" in changes:
            facts["title"] = check_line(check_not_null(changes["title"], "title"), "title")
    with collect_refusals(refusals):
        if "description" in changes:
            facts["description"] = check_text(changes["description"], "description")
    with collect_refusals(refusals):
        if "tags" in changes:
            facts["tags"] = check_tags(changes["tags"] or [], "tags")
    return facts


def _new_output_ids(result: Row, added: Sequence[str], removed: set[str]) -> list[str]:
    """The new list of the outputs' ids: the remaining ones, then the new ones."""
    both = [
        InvalidInput(f"Output {id} is both added and removed.", "addOutputIds", str(number))
        for number, id in enumerate(added)
        if id in removed
    ]
    if both:
        raise Refusals([*both])
    remaining = [id for id in result.get("output") or [] if id not in removed]
    ids = list(dict.fromkeys([*remaining, *added]))
    _check_count(ids, "addOutputIds")
    return ids


def _check_count(ids: Sequence[str], *path: str) -> None:
    if len(ids) > MAX_RESULT_OUTPUTS:
        raise LimitExceeded(f"{len(ids)} outputs; a result gathers at most {MAX_RESULT_OUTPUTS}.", *path)


async def _check_outputs_belong(
    ids: Sequence[str], execution_id: str, viewer: Viewer, session: Session, *path: str
) -> None:
    """Raise Refusals for ids that are no outputs, or outputs neither of the execution nor reused by it."""
    match = {"$and": [{"_id": {"$in": ids}}, readable(documents.Output, viewer)]}
    outputs = collection_of(documents.Output).find(match, {"stepRef": 1}, session=session)
    step_of = {row["_id"]: row["stepRef"] async for row in outputs}
    makers = {"$in": sorted(set(step_of.values()))}
    either = {"executionRef": execution_id, "$or": [{"_id": makers}, {"reusedFrom": makers}]}
    steps = collection_of(documents.Step).find(either, {"reusedFrom": 1}, session=session)
    of_execution = {id async for row in steps for id in (row["_id"], row.get("reusedFrom"))}
    refusals: list[Refusal] = []
    for number, id in enumerate(ids):
        if id not in step_of:
            refusals.append(NotFound(documents.Output.__name__, id, *path, str(number)))
        elif step_of[id] not in of_execution:
            message = f"Output {id} does not belong to execution {execution_id}, and is not reused by it."
            refusals.append(InvalidInput(message, *path, str(number)))
    if refusals:
        raise Refusals(refusals)
