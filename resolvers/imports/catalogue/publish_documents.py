"""Publishing the new documents of a pipeline, one transform after another."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.catalogue.report_transform import ingest_transform
from resolvers.file_events.code_repo import SourceFileValues
from resolvers.imports.catalogue.catalogue_summary import CatalogueSummary
from resolvers.imports.catalogue.dataset_matching import Destinations
from resolvers.imports.catalogue.existing import ExistingResource
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.catalogue.pairing import Series, State
from resolvers.imports.catalogue.schedule import PublishPlan, Run, plan_publications, runs
from resolvers.imports.catalogue.store_info_json import InfoImport
from resolvers.imports.folder import DOCUMENTS
from resolvers.reads.rows import collection_of
from resolvers.user_errors import Refusal, Refusals
from resolvers.validators import is_line
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.transaction import Outcome

TOO_LATE = "It is older than a version that is published already."


class PipelineImport:
    """Publishes the new documents of one pipeline, and updates the pipeline's description."""

    def __init__(
        self, identity: Identity, destinations: Destinations, viewer: Viewer, summary: CatalogueSummary
    ) -> None:
        self._identity = identity
        self._pipeline = identity.pipeline
        self._destinations = destinations
        self._viewer = viewer
        self._summary = summary

    async def run(self) -> None:
        """Publish the new documents in each resource, then store the info.json unless a transform has stored it."""
        is_info_stored = False
        for resource, series_list in self._by_resource().items():
            plans = [(series, self._plan(series)) for series in series_list]
            for _, plan in plans:
                self._count(plan)
            for run in runs([(series, plan.publish) for series, plan in plans]):
                is_info_stored = await self._publish(run, resource) or is_info_stored
            await self._note_subjects(series for series, plan in plans if not plan.publish)
        if info := self._pipeline.info:
            resource = self._destinations.resource(self._identity)
            await InfoImport(self._identity, info, resource, self._viewer, self._summary).run(
                is_info_stored=is_info_stored
            )

    def _by_resource(self) -> dict[ExistingResource | None, list[Series]]:
        """The series by their resource; None is the resource that natural keys find or create."""
        by_resource: dict[ExistingResource | None, list[Series]] = defaultdict(list)
        for series in self._identity.series:
            resource = self._destinations.of(series).resource
            by_resource[None if resource and resource.is_of(self._identity) else resource].append(series)
        return by_resource

    async def _note_subjects(self, unchanged: Iterable[Series]) -> None:
        """Record the present paths of documents, by which later imports find them; earlier releases did not."""
        for series in unchanged:
            destination = self._destinations.of(series)
            if destination.dataset and destination.dataset.subject != destination.subject:
                change = {"$set": {"subject": destination.subject.model_dump()}}
                await collection_of(documents.Dataset).update_one({"_id": destination.dataset.id}, change)

    def _plan(self, series: Series) -> PublishPlan:
        destination = self._destinations.of(series)
        return plan_publications(series, destination.digests, destination.newest_at)

    def _count(self, plan: PublishPlan) -> None:
        self._summary.already[DOCUMENTS] += len(plan.existing)
        for document in plan.too_late:
            self._summary.refuse(DOCUMENTS, document.file, TOO_LATE)

    async def _publish(self, run: Run, resource: ExistingResource | None) -> bool:
        """Record a transform that made the documents of a run; returns whether it stored the info.json as well."""
        report = self._report(run) | ({"resource_id": resource.id} if resource else {})
        contents = [
            {"dataset": self._name(series), "sha256": state.document.csvw.sha256} for series, state in run.states
        ]

        async def work(session: Session) -> Outcome:
            return await ingest_transform(session, self._viewer, **report)

        try:
            # The key stops a concurrent import from publishing the same; later imports find the published documents.
            outcome = await run_idempotent(
                self._viewer, "ingestTransform", {"documents": contents}, self._key(run, resource), work
            )
        except (Refusal, Refusals) as refused:
            self._refuse(run, refused)
            return False
        published = len(outcome["published"])
        self._summary.taken[DOCUMENTS] += published
        self._summary.already[DOCUMENTS] += len(run.states) - published
        self._summary.files.update(state.document.file for _, state in run.states)
        return resource is None

    def _report(self, run: Run) -> dict[str, Any]:
        """The report that a pipeline would have sent for these documents."""
        distributions = [self._distribution(series, state) for series, state in run.states]
        source = self._source(run)
        return self._facts() | {
            "code_repo": self._identity.code_repo(source),
            "distributions": distributions,
            "info_text": self._pipeline.info.text if self._pipeline.info else None,
            "ended_at": run.created,
            "published_at": run.created,
        }

    def _distribution(self, series: Series, state: State) -> dict[str, Any]:
        destination = self._destinations.of(series)
        return {"dataset": destination.name, "document": destination.subject.document, "csvw_text": state.document.text}

    def _name(self, series: Series) -> str:
        return self._destinations.of(series).name

    def _facts(self) -> dict[str, Any]:
        return {
            "organisation_url": self._identity.organisation.url,
            "organisation_name": self._identity.organisation.name,
            "landing_page": self._identity.landing_page,
            "resource_title": self._identity.title,
        }

    def _source(self, run: Run) -> list[SourceFileValues]:
        """The code that ran: the files at the run's commit, else the last known ones, else none."""
        if run.commit is None:
            return self._pipeline.source
        path = self._code_path(run)
        return self._pipeline.code_at(run.commit) or ([{"path": path, "commit": run.commit}] if is_line(path) else [])

    def _code_path(self, run: Run) -> str:
        """A file in the pipeline's directory: its code, else its description, else its output."""
        if self._pipeline.source:
            return self._pipeline.source[0]["path"]
        if self._pipeline.info:
            name = self._pipeline.info.file.rpartition("/")[2]
            return f"{self._pipeline.directory}/{name}".lstrip("/")
        return run.states[0][0].path

    def _key(self, run: Run, resource: ExistingResource | None) -> str:
        """An idempotency key that is equal only for equal documents at the same point of their histories."""
        where = [
            self._pipeline.repository.key,
            self._pipeline.directory,
            *self._facts().values(),
            resource and resource.id,
        ]
        points = [
            [self._name(series), len(self._destinations.of(series).digests), *_digests_until(series, state)]
            for series, state in run.states
        ]
        return f"import-{hashlib.sha256(json.dumps([where, points]).encode()).hexdigest()}"

    def _refuse(self, run: Run, refused: Refusal | Refusals) -> None:
        """Refuse every document of a run, each with its own reason, or else with the first one of the run."""
        refusals = refused.refusals if isinstance(refused, Refusals) else [refused]
        reasons = {
            refusal.path[1]: refusal.message
            for refusal in refusals
            if refusal.path[:1] == ("distributions",) and len(refusal.path) > 1
        }
        for number, (_, state) in enumerate(run.states):
            self._summary.refuse(DOCUMENTS, state.document.file, reasons.get(str(number), refusals[0].message))


def _digests_until(series: Series, state: State) -> list[str]:
    return [state.document.csvw.sha256 for state in series.states[: series.states.index(state) + 1]]
