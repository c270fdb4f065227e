"""Places of existing outputs that a step uses, which its worker fetches together with those of its dependencies."""

from documents.provenance.used import Used
from resolvers.user_errors import InvalidInput

KEY_OF_HIDDEN_STEPS = "used"
"""Stands for the key of a step that the viewer may not see, only its output."""


class FilePlaces:
    """The places of the files of one step, which waits for steps with the `awaited` keys."""

    def __init__(self, awaited: set[str]) -> None:
        self._awaited = awaited
        self._refs: set[str] = set()
        self._files: dict[tuple[str | None, str], str] = {}

    def take(self, used: Used, file_name: str, *path: str) -> None:
        """Give a file its place. Raises InvalidInput for one that is given twice, that would be placed among those of a
        dependency, or in another's place."""
        if used.ref in self._refs:
            raise InvalidInput(f"Output {used.ref} is given twice.", *path, "id")
        self._refs.add(used.ref)
        if used.step_key in self._awaited:
            message = (
                f"Output {used.ref} would be placed among those of step {used.step_key}, which this step waits for."
            )
            raise InvalidInput(f"{message} Give another stepKey.", *path, "stepKey")
        other = self._files.setdefault((used.step_key, file_name), used.ref)
        if other != used.ref:
            message = f"Outputs {other} and {used.ref} would both be placed as {file_name} of step {used.step_key}."
            raise InvalidInput(f"{message} Give one of them another stepKey.", *path, "stepKey")
