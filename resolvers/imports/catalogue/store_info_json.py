"""Storing a pipeline's info.json on its resource."""

from collections import Counter

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.catalogue.find_or_create import find_or_create_organisation, find_or_create_resource
from resolvers.file_events.code_repo import read_code_repo
from resolvers.imports.catalogue.catalogue_summary import CatalogueSummary
from resolvers.imports.catalogue.existing import ExistingResource
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
        resource: ExistingResource | None,
        viewer: Viewer,
        summary: CatalogueSummary,
    ) -> None:
        self._identity = identity
        self._info = info
        self._resource = resource
        self._viewer = viewer
        self._summary = summary

    async def run(self, *, is_info_stored: bool) -> None:
        """Count the info.json, and store it unless a transform has stored it already.

        A pipeline whose documents have several publishers has a resource for each, which all store it; at most one
        resource is created only for it.
        """
        if self._resource is None and not self._identity.counts_info:
            return
        if self._is_described(self._resource.row if self._resource else {}):
            self._count(self._summary.already)
            return
        try:
            if not is_info_stored or not self._is_own():
                await run_idempotent(self._viewer, "createResource", {}, None, self._store_info)
        except (Refusal, Refusals) as refused:
            self._summary.refuse(INFOS, self._info.file, str(refused))
        else:
            self._count(self._summary.taken)
            self._summary.files.add(self._info.file)

    def _is_described(self, resource: Row) -> bool:
        same_title = resource.get("title") == self._identity.title or not self._is_own()
        return resource.get("info") == self._info.text and same_title

    def _is_own(self) -> bool:
        return self._resource is None or self._resource.is_of(self._identity)

    def _count(self, counts: Counter[str]) -> None:
        """Count each info.json once, although several resources may store it."""
        if self._identity.counts_info:
            counts[INFOS] += 1

    async def _store_info(self, session: Session) -> Outcome:
        identity, text = self._identity, self._info.text
        if self._resource and not self._is_own():
            return {"resource": await update(documents.Resource, self._resource.row, {"info": text}, None, session)}
        organisation = await find_or_create_organisation(identity.organisation.url, identity.organisation.name, session)
        resource = documents.Resource(
            organisation_ref=organisation["_id"],
            title=identity.title,
            landing_page=identity.landing_page,
            code_repo=read_code_repo(identity.code_repo(identity.pipeline.source), "codeRepo"),
            info=text,
        )
        return {"resource": await find_or_create_resource(resource, session)}
