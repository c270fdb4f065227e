"""Steps of a component of which there is an old and a mended version."""

from typing import Any

import documents
from documents.provenance.used import Used
from tests.support.builders import (
    a_component,
    a_component_version,
    a_step,
    a_twin,
    a_user,
    an_execution,
    an_output,
    keep,
)

MENDED = "b2" * 20
"""The commit of the mended version."""


class VersionsWorld:
    """Public steps of one component, of which there is an old and a mended version."""

    def __init__(self) -> None:
        component = a_component()
        self.old, self.mended = a_component_version(component), a_component_version(component, commit_hash=MENDED)
        component.latest_version_ref = self.mended.id
        self.execution = an_execution(a_twin(a_user(), public=True))
        self.kept: list[documents.Document] = [component, self.old, self.mended]

    def step(
        self, *used: documents.Document | Used, version: documents.ComponentVersion | None = None, **fields: Any
    ) -> documents.Step:
        """A step that used these artifacts, and nothing else, with the mended version unless told otherwise."""
        refs = [one if isinstance(one, Used) else Used(ref=one.id) for one in used]
        version = version or self.mended
        step = a_step(
            self.execution, **{"ordinal": len(self.kept), "component_version_ref": version.id, "used": refs, **fields}
        )
        self.kept.append(step)
        return step

    def output(self, step: documents.Step, **fields: Any) -> documents.Output:
        """A public output of a step."""
        output = an_output(step, **{"public": True, **fields})
        self.kept.append(output)
        return output

    async def keep(self, *others: documents.Document) -> None:
        """Store it all."""
        await keep(*self.kept, *others)
