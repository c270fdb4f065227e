"""Recording the inputs of a run, those in its report or else those that its documents name, and the tools it used."""

from collections.abc import Sequence
from dataclasses import dataclass

from documents.activities.activity import CodeReference
from documents.mongo.transaction import Session
from documents.provenance.used import Used, stored_used
from resolvers.access.viewer import Viewer
from resolvers.catalogue.assumed_inputs import assumed_inputs, tools_used
from resolvers.catalogue.published_tables import Moment
from resolvers.catalogue.read_distributions import ReportedDocument
from resolvers.provenance.external_data.external_state import PUBLIC, upsert_external_data
from resolvers.provenance.used import NamedArtifact, UsedValues, external_states, record_used, unique_used
from resolvers.provenance.used_at_end import record_used_at_end
from resolvers.reads.rows import Row


@dataclass(frozen=True)
class RunInputs:
    """The inputs of a run, and the `tools` that its documents name.

    `reported` are the inputs in its report, None where that says nothing; then those that its documents name are
    `assumed`.
    """

    reported: Sequence[UsedValues] | None
    assumed: list[NamedArtifact]
    tools: list[CodeReference]

    def with_tools(self, code: Sequence[CodeReference]) -> list[CodeReference]:
        """The code of the run, with the tools that it used."""
        return [*code, *(tool for tool in self.tools if tool not in code)]

    async def record(self, viewer: Viewer, session: Session) -> list[Used] | None:
        """Store the data elsewhere that a new run used; returns all that it used, None where nobody knows.

        Raises as `record_used` does.
        """
        if self.reported is None:
            return await self._record_assumed(session)
        return await record_used(self.reported, PUBLIC, viewer, session, "used")

    async def record_at_end(self, transform: Row, viewer: Viewer, session: Session) -> Row:
        """Store the data elsewhere that a claimed transform used; returns the fields to store when it ends.

        Nothing is assumed of a transform of which something is known. Raises as `record_used` does.
        """
        code = self.with_tools([CodeReference.model_validate(reference) for reference in transform["code"]])
        fields: Row = {"code": [reference.model_dump(by_alias=True) for reference in code]}
        if self.reported is not None:
            return fields | await record_used_at_end(transform, self.reported, PUBLIC, viewer, session)
        if transform.get("used") is None and (used := await self._record_assumed(session)):
            fields["used"] = stored_used(used)
        return fields

    async def _record_assumed(self, session: Session) -> list[Used] | None:
        await upsert_external_data(external_states(self.assumed), PUBLIC, session)
        return unique_used(artifact.used for artifact in self.assumed) or None


async def run_inputs(
    reported: Sequence[UsedValues] | None, info: str | None, documents: Sequence[ReportedDocument], moment: Moment
) -> RunInputs:
    """The inputs of a run with these `reported` inputs, None where its report says nothing. Nothing is stored.

    Call it before the run's documents are published: what a run makes is none of its inputs.
    """
    assumed = await assumed_inputs(info, documents, moment) if reported is None else []
    return RunInputs(reported, assumed, tools_used(documents))
