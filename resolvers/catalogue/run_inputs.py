"""Recording the inputs of a run, those that its report tells or else its documents name, and the tools that it used."""

from collections.abc import Sequence
from dataclasses import dataclass

from documents.activities.activity import CodeReference
from documents.mongo.transaction import Session
from documents.provenance.used import Used
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

    `told` are the inputs in its report, None where that says nothing; then those are `assumed` that the documents name.
    """

    told: Sequence[UsedValues] | None
    assumed: list[NamedArtifact]
    tools: list[CodeReference]

    def with_tools(self, code: Sequence[CodeReference]) -> list[CodeReference]:
        """The code of the run, with the tools that it used."""
        return [*code, *(tool for tool in self.tools if tool not in code)]

    async def record(self, viewer: Viewer, session: Session) -> list[Used] | None:
        """Store the data elsewhere that a new run used; returns all that it used, None where nobody knows.

        Raises as `record_used` does.
        """
        if self.told is None:
            return await self._record_assumed(session)
        return await record_used(self.told, PUBLIC, viewer, session, "used")

    async def record_at_end(self, transform: Row, viewer: Viewer, session: Session) -> Row:
        """Store the data elsewhere that a claimed transform used; returns the fields to store when it ends.

        Nothing is assumed of a transform of which something is known. Raises as `record_used` does.
        """
        code = self.with_tools([CodeReference.model_validate(reference) for reference in transform["code"]])
        fields: Row = {"code": [reference.model_dump(by_alias=True) for reference in code]}
        if self.told is not None:
            return fields | await record_used_at_end(transform, self.told, PUBLIC, viewer, session)
        if transform.get("used") is None and (used := await self._record_assumed(session)):
            fields["used"] = [one.model_dump(by_alias=True) for one in used]
        return fields

    async def _record_assumed(self, session: Session) -> list[Used] | None:
        await upsert_external_data(external_states(self.assumed), PUBLIC, session)
        return unique_used(artifact.used for artifact in self.assumed) or None


async def run_inputs(
    told: Sequence[UsedValues] | None, info: str | None, reported: Sequence[ReportedDocument], moment: Moment
) -> RunInputs:
    """The inputs of a run whose report tells these, None where it says nothing. Nothing is stored.

    Call it before the run's documents are published: what a run makes is none of its inputs.
    """
    assumed = await assumed_inputs(info, reported, moment) if told is None else []
    return RunInputs(told, assumed, tools_used(reported))
