"""Importing a catalogue from a folder: the documents that pipelines made, in the order in which they appeared."""

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import documents
from resolvers.code_repo import read_code_repo
from resolvers.ingest.catalogue_files import DOCUMENTS, INFOS, Progress, Reason, find_files
from resolvers.ingest.catalogue_identity import Identity, identify
from resolvers.ingest.catalogue_known import Known, keep_identities, read_known
from resolvers.ingest.catalogue_pipelines import Series, pair
from resolvers.ingest.catalogue_plan import Due, Run, due, runs
from resolvers.ingest.odtp_summary import Summary
from resolvers.ingest.publisher import find_or_make_organisation, find_or_make_resource
from resolvers.ingest.transform import ingest_transform
from resolvers.refusals import Refusal, Refusals
from resolvers.viewer import Viewer
from resolvers.writing import Outcome, Session, write

PIPELINES = "pipelines"
TOO_LATE = "It is older than a version that is published already."


@dataclass
class CatalogueSummary(Summary):
    """What became of the files of a folder."""

    others: int = 0
    """JSON files that have nothing to do with CSV-W."""
    files: set[str] = field(default_factory=set)
    """Those that were taken."""


async def import_catalogue(folder: Path, viewer: Viewer, progress: Progress) -> CatalogueSummary:
    """Publish what lies below a folder and is not published yet; importing again publishes nothing.

    Documents that appeared together are one transform of their pipeline. A pipeline without documents becomes a
    resource without datasets. Each document is counted once: taken when it was published, already here when it equals a
    version, or refused. Raises OSError when the folder itself cannot be read.
    """
    found = find_files(folder, progress)
    paired = pair(found)
    identities, decided = identify(paired.pipelines)
    summary = CatalogueSummary(others=found.others)
    for refusal in (*found.refused, *paired.refused):
        summary.refuse(*refusal)
    await keep_identities(identities)
    known = await read_known(identities)
    for done, identity in enumerate(identities, 1):
        await _Import(identity, known, viewer, summary).run()
        progress(PIPELINES, done, len(identities))
    _adjust(summary, [*paired.adjusted, *decided])
    return summary


def _adjust(summary: CatalogueSummary, decided: list[Reason]) -> None:
    """Say what was decided for the files that were taken, and for folders and lists that some of them depend on."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in decided:
        if one.file in summary.files or (one.kind not in (DOCUMENTS, INFOS) and summary.files):
            reasons[one.kind, one.file].append(one.reason)
    for (kind, file), some in reasons.items():
        summary.adjust(kind, file, some)


class _Import:
    """Bringing one pipeline up to date."""

    def __init__(self, identity: Identity, known: Known, viewer: Viewer, summary: CatalogueSummary) -> None:
        self._identity = identity
        self._pipeline = identity.pipeline
        self._known = known
        self._viewer = viewer
        self._summary = summary

    async def run(self) -> None:
        """Publish what is due, else see that the resource is there as info.json describes it."""
        dues = [(series, self._due(series)) for series in self._pipeline.series]
        for _, one in dues:
            self._count(one)
        told = False
        for run in runs([(series, one.publish) for series, one in dues]):
            told = await self._publish(run) or told
        if self._pipeline.info:
            await self._describe(self._pipeline.info.file, self._pipeline.info.text, told=told)

    def _due(self, series: Series) -> Due:
        return due(series, self._known.digests(self._identity, series.dataset))

    def _count(self, one: Due) -> None:
        self._summary.already[DOCUMENTS] += len(one.here)
        for document in one.too_late:
            self._summary.refuse(DOCUMENTS, document.file, TOO_LATE)

    async def _publish(self, run: Run) -> bool:
        """Record a transform that made the documents of a run. Whether it was taken."""
        report = self._report(run)
        held = [{"dataset": series.dataset, "sha256": state.document.csvw.sha256} for series, state in run.states]

        async def work(session: Session) -> Outcome:
            return await ingest_transform(session, self._viewer, **report)

        try:
            # The key stops a second import that runs at the same time; later ones see what is published.
            outcome = await write(self._viewer, "ingestTransform", {"documents": held}, self._key(run), work)
        except (Refusal, Refusals) as refused:
            self._refuse(run, refused)
            return False
        taken = len(outcome["published"])
        self._summary.taken[DOCUMENTS] += taken
        self._summary.already[DOCUMENTS] += len(run.states) - taken
        self._summary.files.update(state.document.file for _, state in run.states)
        return True

    def _report(self, run: Run) -> dict[str, Any]:
        """What a pipeline would have reported when it had made these documents."""
        given = [{"dataset": series.dataset, "csvw_text": state.document.text} for series, state in run.states]
        source = self._source(run)
        return self._facts() | {
            "code_repo": self._identity.code_repo(source),
            "distributions": given,
            "info_text": self._pipeline.info.text if self._pipeline.info else None,
            "ended_at": run.created,
            "published_at": run.created,
        }

    def _facts(self) -> dict[str, Any]:
        return {
            "organisation_url": self._identity.organisation_url,
            "organisation_name": self._identity.organisation_name,
            "landing_page": self._identity.landing_page,
            "resource_title": self._identity.title,
        }

    def _source(self, run: Run) -> list[dict[str, str]]:
        """The code that ran: that of the run's commit, else the last that is known, else none."""
        if run.commit is None:
            return self._pipeline.source
        return [{"path": self._code_path(run), "commit": run.commit}]

    def _code_path(self, run: Run) -> str:
        """A file in the pipeline's directory: its code, else its description, else what it made."""
        if self._pipeline.source:
            return self._pipeline.source[0]["path"]
        if self._pipeline.info:
            name = self._pipeline.info.file.rpartition("/")[2]
            return f"{self._pipeline.directory}/{name}".lstrip("/")
        return run.states[0][0].path

    def _key(self, run: Run) -> str:
        """A key that only the same documents at the same point of their histories have."""
        where = [self._pipeline.repository.key, self._pipeline.directory, *self._facts().values()]
        points = [
            [series.dataset, *(one.document.csvw.sha256 for one in series.states[: series.states.index(state) + 1])]
            for series, state in run.states
        ]
        return f"import-{hashlib.sha256(json.dumps([where, points]).encode()).hexdigest()}"

    def _refuse(self, run: Run, refused: Refusal | Refusals) -> None:
        """Give every document of a run its own reason, or that of the others that it came with."""
        refusals = refused.refusals if isinstance(refused, Refusals) else [refused]
        own = {one.path[1]: one.message for one in refusals if one.path[:1] == ("distributions",) and len(one.path) > 1}
        for number, (_, state) in enumerate(run.states):
            self._summary.refuse(DOCUMENTS, state.document.file, own.get(str(number), refusals[0].message))

    async def _describe(self, file: str, text: str, *, told: bool) -> None:
        """Count the info.json, and write what it says when no transform did."""
        row = self._known.resource(self._identity)
        if row and row.get("info") == text and row.get("title") == self._identity.title:
            self._summary.already[INFOS] += 1
            return
        try:
            if not told:
                await write(self._viewer, "createResource", {}, None, self._make_resource)
        except (Refusal, Refusals) as refused:
            self._summary.refuse(INFOS, file, str(refused))
        else:
            self._summary.taken[INFOS] += 1
            self._summary.files.add(file)

    async def _make_resource(self, session: Session) -> Outcome:
        one, info = self._identity, self._pipeline.info
        organisation = await find_or_make_organisation(one.organisation_url, one.organisation_name, session)
        resource = documents.Resource(
            organisation_ref=organisation["_id"],
            title=one.title,
            landing_page=one.landing_page,
            code_repo=read_code_repo(one.code_repo(self._pipeline.source), "codeRepo"),
            info=info.text if info else None,
        )
        return {"resource": await find_or_make_resource(resource, session)}
