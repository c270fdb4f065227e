"""Publishing a pipeline's documents that are not published yet, run by run."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.catalogue.report_transform import ingest_transform
from resolvers.imports.catalogue.catalogue_summary import CatalogueSummary
from resolvers.imports.catalogue.dataset_matching import Places
from resolvers.imports.catalogue.existing import KnownResource
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.catalogue.pairing import Series, State
from resolvers.imports.catalogue.schedule import Due, Run, due, runs
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

    def __init__(self, identity: Identity, places: Places, viewer: Viewer, summary: CatalogueSummary) -> None:
        self._identity = identity
        self._pipeline = identity.pipeline
        self._places = places
        self._viewer = viewer
        self._summary = summary

    async def run(self) -> None:
        """Publish new documents in each resource, else bring the identity's own in line with info.json."""
        told = False
        for resource, some in self._by_resource().items():
            dues = [(series, self._due(series)) for series in some]
            for _, one in dues:
                self._count(one)
            for run in runs([(series, one.publish) for series, one in dues]):
                told = await self._publish(run, resource) or told
            await self._note_subjects(series for series, one in dues if not one.publish)
        if info := self._pipeline.info:
            resource = self._places.resource(self._identity)
            await InfoImport(self._identity, info, resource, self._viewer, self._summary).run(told=told)

    def _by_resource(self) -> dict[KnownResource | None, list[Series]]:
        """The series by their resource; None is the resource that natural keys find or create."""
        found: dict[KnownResource | None, list[Series]] = defaultdict(list)
        for series in self._identity.series:
            resource = self._places.place(series).resource
            found[None if resource and resource.is_of(self._identity) else resource].append(series)
        return found

    async def _note_subjects(self, unchanged: Iterable[Series]) -> None:
        """Record where the documents of datasets lie now, so that they are found; earlier releases did not."""
        for series in unchanged:
            place = self._places.place(series)
            if place.dataset and place.dataset.subject != place.subject:
                changed = {"$set": {"subject": place.subject.model_dump()}}
                await collection_of(documents.Dataset).update_one({"_id": place.dataset.id}, changed)

    def _due(self, series: Series) -> Due:
        place = self._places.place(series)
        return due(series, place.digests, place.newest_at)

    def _count(self, one: Due) -> None:
        self._summary.already[DOCUMENTS] += len(one.here)
        for document in one.too_late:
            self._summary.refuse(DOCUMENTS, document.file, TOO_LATE)

    async def _publish(self, run: Run, resource: KnownResource | None) -> bool:
        """Record a transform that made the documents of a run; returns whether info.json was stored with it."""
        report = self._report(run) | ({"resource_id": resource.id} if resource else {})
        held = [{"dataset": self._name(series), "sha256": state.document.csvw.sha256} for series, state in run.states]

        async def work(session: Session) -> Outcome:
            return await ingest_transform(session, self._viewer, **report)

        try:
            # The key stops a concurrent import; later ones see what is published.
            outcome = await run_idempotent(
                self._viewer, "ingestTransform", {"documents": held}, self._key(run, resource), work
            )
        except (Refusal, Refusals) as refused:
            self._refuse(run, refused)
            return False
        taken = len(outcome["published"])
        self._summary.taken[DOCUMENTS] += taken
        self._summary.already[DOCUMENTS] += len(run.states) - taken
        self._summary.files.update(state.document.file for _, state in run.states)
        return resource is None

    def _report(self, run: Run) -> dict[str, Any]:
        """The report that a pipeline would have sent for these documents."""
        given = [self._distribution(series, state) for series, state in run.states]
        source = self._source(run)
        return self._facts() | {
            "code_repo": self._identity.code_repo(source),
            "distributions": given,
            "info_text": self._pipeline.info.text if self._pipeline.info else None,
            "ended_at": run.created,
            "published_at": run.created,
        }

    def _distribution(self, series: Series, state: State) -> dict[str, Any]:
        place = self._places.place(series)
        return {"dataset": place.name, "document": place.subject.document, "csvw_text": state.document.text}

    def _name(self, series: Series) -> str:
        return self._places.place(series).name

    def _facts(self) -> dict[str, Any]:
        return {
            "organisation_url": self._identity.organisation.url,
            "organisation_name": self._identity.organisation.name,
            "landing_page": self._identity.landing_page,
            "resource_title": self._identity.title,
        }

    def _source(self, run: Run) -> list[dict[str, str]]:
        """The code that ran: of the run's commit, else the last known, else none."""
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

    def _key(self, run: Run, resource: KnownResource | None) -> str:
        """A key that only the same documents at the same point of their histories have."""
        where = [
            self._pipeline.repository.key,
            self._pipeline.directory,
            *self._facts().values(),
            resource and resource.id,
        ]
        points = [
            [self._name(series), len(self._places.place(series).digests), *_digests_until(series, state)]
            for series, state in run.states
        ]
        return f"import-{hashlib.sha256(json.dumps([where, points]).encode()).hexdigest()}"

    def _refuse(self, run: Run, refused: Refusal | Refusals) -> None:
        """Refuse every document of a run, with its own reason or that of the documents that came with it."""
        refusals = refused.refusals if isinstance(refused, Refusals) else [refused]
        own = {one.path[1]: one.message for one in refusals if one.path[:1] == ("distributions",) and len(one.path) > 1}
        for number, (_, state) in enumerate(run.states):
            self._summary.refuse(DOCUMENTS, state.document.file, own.get(str(number), refusals[0].message))


def _digests_until(series: Series, state: State) -> list[str]:
    return [one.document.csvw.sha256 for one in series.states[: series.states.index(state) + 1]]
