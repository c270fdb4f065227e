"""Storing the info.json that describes a pipeline on its resource."""

from collections import Counter

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.catalogue.find_or_create import find_or_make_organisation, find_or_make_resource
from resolvers.file_events.code_repo import read_code_repo
from resolvers.imports.catalogue.catalogue_summary import CatalogueSummary
from resolvers.imports.catalogue.existing import KnownResource
from resolvers.imports.catalogue.files import InfoFile
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.folder import INFOS
from resolvers.reads.rows import Row
from resolvers.user_errors import Refusal, Refusals
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.store import update
from resolvers.writes.transaction import Outcome


class InfoImport:
    """Creates or updates the resource that an info.json describes; `resource` is the existing one, if known."""

    def __init__(
        self,
        identity: Identity,
        info: InfoFile,
        resource: KnownResource | None,
        viewer: Viewer,
        summary: CatalogueSummary,
    ) -> None:
        self._identity = identity
        self._info = info
        self._resource = resource
        self._viewer = viewer
        self._summary = summary

    async def run(self, *, told: bool) -> None:
        """Count the info.json, and store it unless a transform `told` it already.

        A pipeline whose documents have several publishers has a resource for each, all of which store it; at most one
        is created for its sake alone.
        """
        if self._resource is None and not self._identity.counts_info:
            return
        if self._is_described(self._resource.row if self._resource else {}):
            self._count(self._summary.already)
            return
        try:
            if not told or not self._is_own():
                await run_idempotent(self._viewer, "createResource", {}, None, self._keep_info)
        except (Refusal, Refusals) as refused:
            self._summary.refuse(INFOS, self._info.file, str(refused))
        else:
            self._count(self._summary.taken)
            self._summary.files.add(self._info.file)

    def _is_described(self, kept: Row) -> bool:
        same_title = kept.get("title") == self._identity.title or not self._is_own()
        return kept.get("info") == self._info.text and same_title

    def _is_own(self) -> bool:
        return self._resource is None or self._resource.is_of(self._identity)

    def _count(self, counts: Counter[str]) -> None:
        """Count each info.json once, however many resources store it."""
        if self._identity.counts_info:
            counts[INFOS] += 1

    async def _keep_info(self, session: Session) -> Outcome:
        one, text = self._identity, self._info.text
        if self._resource and not self._is_own():
            return {"resource": await update(documents.Resource, self._resource.row, {"info": text}, None, session)}
        organisation = await find_or_make_organisation(one.organisation.url, one.organisation.name, session)
        resource = documents.Resource(
            organisation_ref=organisation["_id"],
            title=one.title,
            landing_page=one.landing_page,
            code_repo=read_code_repo(one.code_repo(one.pipeline.source), "codeRepo"),
            info=text,
        )
        return {"resource": await find_or_make_resource(resource, session)}
