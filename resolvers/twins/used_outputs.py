"""Existing outputs that the steps of a new execution use.

The viewer who creates the execution must be able to read them, and so must the owner of its twin, with whose rights a
worker reads them later: see `used_files`.
"""

import documents
from documents.mongo.transaction import Session
from documents.provenance.used import Used
from resolvers.access.policies import readable
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import MAX_USED_OUTPUTS, MAX_USED_OUTPUTS_PER_STEP
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.upload import check_sha256
from resolvers.twins.execution_validation import StepValues, UsedOutputValues
from resolvers.twins.step_graph import StepNode, check_step_key
from resolvers.user_errors import (
    ChecksumMismatch,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Refusal,
    Refusals,
    collect_refusals,
)

MAX_REFUSALS = 1_000
KEY_OF_HIDDEN_STEPS = "used"
"""Stands for the key of a step that the viewer may not see, only its output."""

UsedBySteps = list[list[Used] | None]


class Outputs:
    """Outputs that one viewer may see, with the keys of the steps that made them."""

    def __init__(self, rows: dict[str, Row], keys: dict[str, str], for_the_owner: set[str]) -> None:
        self._rows, self._keys, self._for_the_owner = rows, keys, for_the_owner

    def resolve(self, output: UsedOutputValues, *path: str) -> Used:
        """The output in the form stored with a step. Raises NotFound, Forbidden, ChecksumMismatch and InvalidInput."""
        row = self.get_readable(output.get("id"), *path, "id")
        if (sha256 := output.get("sha256")) is not None:
            _check_checksum(row, sha256, *path, "sha256")
        key = check_step_key(output.get("step_key"), *path, "stepKey")
        return Used(ref=row["_id"], sha256=row.get("sha256"), declared=True, step_key=key or self.key_of(row))

    def file_name(self, used: Used) -> str:
        """The name of the file."""
        name: str = self._rows[used.ref]["file_name"]
        return name

    def key_of(self, row: Row) -> str:
        """The key of the step that made an output."""
        return self._keys.get(row["stepRef"], KEY_OF_HIDDEN_STEPS)

    def get_readable(self, id: str | None, *path: str) -> Row:
        """The output with this id. Raises InvalidInput, NotFound, and Forbidden where the owner may not read it."""
        if id is None:
            raise InvalidInput("id is required: the output to use.", *path)
        row = self._rows.get(id)
        if row is None:
            raise NotFound(documents.Output.__name__, id, *path)
        if id not in self._for_the_owner:
            raise Forbidden(f"The owner of the digital twin may not read output {id}: share it first.", *path)
        return row


async def used_outputs(
    steps: list[StepValues], nodes: list[StepNode], owner_id: str, viewer: Viewer, session: Session
) -> UsedBySteps:
    """The outputs that each step uses, None for a step without any. Raises Refusals with everything that is wrong.

    `nodes` is empty where the steps are refused already.
    """
    _check_counts(steps)
    ids = {id for step in steps for output in step.get("used") or [] if (id := output.get("id"))}
    outputs = await _outputs(ids, owner_id, viewer, session)
    refusals: list[Refusal] = []
    used_by_steps: UsedBySteps = []
    for number, step in enumerate(steps):
        awaited = {nodes[dependency].key for dependency in nodes[number].waits_for} if nodes else set()
        with collect_refusals(refusals):
            used_by_steps.append(_resolve_used(step.get("used"), outputs, awaited, "steps", str(number), "used"))
    if refusals:
        raise Refusals(refusals)
    return used_by_steps


async def check_used_outputs_are_readable(
    steps: list[documents.Step], owner_id: str, viewer: Viewer, session: Session, *path: str
) -> None:
    """Raise Refusals with used outputs that the viewer, or the owner, may no longer read."""
    ids = {used.ref for step in steps for used in outputs_to_fetch(step)}
    outputs = await _outputs(ids, owner_id, viewer, session)
    refusals: list[Refusal] = []
    for step in steps:
        for used in outputs_to_fetch(step):
            with collect_refusals(refusals):
                outputs.get_readable(used.ref, *path)
    if refusals:
        raise Refusals(refusals[:MAX_REFUSALS])


def outputs_to_fetch(step: documents.Step) -> list[Used]:
    """The outputs that a worker fetches for a step beside those of its dependencies."""
    return [used for used in step.used or [] if used.step_key is not None]


def used_again(step: documents.Step) -> list[Used] | None:
    """Files that a step is told to fetch when it runs again, as it was told before; None where nothing was said.

    The outputs that it took from other steps are not among them: it takes those of its own execution.
    """
    if files := outputs_to_fetch(step):
        return files
    return None if step.used or step.depends_on else step.used


def _check_counts(steps: list[StepValues]) -> None:
    refusals: list[Refusal] = [
        LimitExceeded(
            f"{len(used)} outputs; a step uses at most {MAX_USED_OUTPUTS_PER_STEP:,}.", "steps", str(number), "used"
        )
        for number, step in enumerate(steps)
        if len(used := step.get("used") or []) > MAX_USED_OUTPUTS_PER_STEP
    ]
    if sum(len(step.get("used") or []) for step in steps) > MAX_USED_OUTPUTS:
        refusals.append(LimitExceeded(f"The steps of an execution use at most {MAX_USED_OUTPUTS:,} outputs.", "steps"))
    if refusals:
        raise Refusals(refusals)


async def _outputs(ids: set[str], owner_id: str, viewer: Viewer, session: Session) -> Outputs:
    rows = await _readable_rows(documents.Output, ids, ["stepRef", "sha256", "file_name"], viewer, session)
    maker_ids = {row["stepRef"] for row in rows.values()}
    steps = await _readable_rows(documents.Step, maker_ids, ["key"], viewer, session)
    for_the_owner = await _readable_rows(documents.Output, set(rows), ["_id"], Viewer(Role.USER, owner_id), session)
    return Outputs(rows, {id: step["key"] for id, step in steps.items()}, set(for_the_owner))


async def _readable_rows(
    document: type[documents.Document], ids: set[str], fields: list[str], viewer: Viewer, session: Session
) -> dict[str, Row]:
    if not ids:
        return {}
    match = {"$and": [{"_id": {"$in": sorted(ids)}}, readable(document, viewer)]}
    return {row["_id"]: row async for row in collection_of(document).find(match, fields, session=session)}


def _resolve_used(
    inputs: list[UsedOutputValues] | None, outputs: Outputs, awaited: set[str], *path: str
) -> list[Used] | None:
    """The outputs that one step uses, each with a place of its own."""
    if inputs is None:
        return None
    refusals: list[Refusal] = []
    used_by_id: dict[str, Used] = {}
    files: dict[tuple[str | None, str], str] = {}
    for number, output in enumerate(inputs):
        with collect_refusals(refusals):
            used = outputs.resolve(output, *path, str(number))
            if used.ref in used_by_id:
                raise InvalidInput(f"Output {used.ref} is given twice.", *path, str(number), "id")
            used_by_id[used.ref] = used
            _check_place(used, outputs.file_name(used), awaited, files, *path, str(number), "stepKey")
    if refusals:
        raise Refusals(refusals)
    return list(used_by_id.values())


def _check_place(
    used: Used, file_name: str, awaited: set[str], files: dict[tuple[str | None, str], str], *path: str
) -> None:
    """Raise InvalidInput where a file would be placed among those of a dependency, or in another's place."""
    if used.step_key in awaited:
        message = f"Output {used.ref} would be placed among those of step {used.step_key}, which this step waits for."
        raise InvalidInput(f"{message} Give another stepKey.", *path)
    other = files.setdefault((used.step_key, file_name), used.ref)
    if other != used.ref:
        message = f"Outputs {other} and {used.ref} would both be placed as {file_name} of step {used.step_key}."
        raise InvalidInput(f"{message} Give one of them another stepKey.", *path)


def _check_checksum(row: Row, sha256: str, *path: str) -> None:
    expected, actual = check_sha256(sha256, *path), row.get("sha256")
    if actual is None:
        raise InvalidInput(f"The SHA-256 of output {row['_id']} is unknown: leave sha256 out.", *path)
    if expected != actual:
        raise ChecksumMismatch(f"Output {row['_id']} has the SHA-256 {actual}, not {expected}.", *path)
