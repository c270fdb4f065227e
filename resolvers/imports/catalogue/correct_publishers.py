"""Correcting the publishers of resources that an earlier release assigned to a made-up organisation."""

from collections import Counter

from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.catalogue.find_or_create import find_or_make_organisation
from resolvers.catalogue.organisation import added_to_organisation
from resolvers.formats.info_json import former_organisation_url, publisher_text
from resolvers.imports.catalogue.dataset_matching import Places
from resolvers.imports.catalogue.existing import KnownResource
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.folder import INFOS, Reason
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.store import update
from resolvers.writes.transaction import Outcome


async def correct_publishers(identities: list[Identity], places: Places, viewer: Viewer) -> list[Reason]:
    """Move resources to the publisher that their documents name now. Returns the moves.

    Only resources are moved whose organisation was made of a text in their info.json that is no publisher's name, such
    as a dataset's title or a Markdown link; the publisher of any other resource may have been set on purpose.
    """
    moved: list[Reason] = []
    for main in (identity for identity in identities if identity.counts_info):
        resource, info = places.resource(main), main.pipeline.info
        if info is None or resource is None or not _is_mistaken(resource, main, info.text):
            continue
        owner = _owner(main, identities, places, resource)
        before = resource.organisation_url
        if await _move(resource, owner, viewer):
            reason = f"Its resource moves from {before}, which is not a publisher, to {owner.organisation.url}."
            moved.append(Reason(INFOS, info.file, reason))
    return moved


def _is_mistaken(resource: KnownResource, main: Identity, info: str) -> bool:
    """Whether a resource's organisation was made of its info.json's text, which is read differently now."""
    written = publisher_text(info)
    made = former_organisation_url(written) if written else None
    read = main.usual_organisation.url if main.usual_organisation else None
    return resource.organisation_url == made != read


def _owner(main: Identity, identities: list[Identity], places: Places, resource: KnownResource) -> Identity:
    """The publisher that most documents in a resource name, or without documents the resource's own."""
    naming = Counter(
        {
            identity: sum(places.place(series).resource is resource for series in identity.series)
            for identity in identities
            if identity.pipeline is main.pipeline and not identity.organisation.assumed
        }
    )
    most, documents_there = (naming.most_common(1) or [(main, 0)])[0]
    return most if documents_there else main


async def _move(resource: KnownResource, owner: Identity, viewer: Viewer) -> bool:
    """Give a resource to an organisation, unless that has one of the same page and code already."""
    organisation = owner.organisation

    async def work(session: Session) -> Outcome:
        row = await find_or_make_organisation(organisation.url, organisation.name, session)
        await added_to_organisation(row["_id"], session)
        changed = {"organisationRef": row["_id"]}
        return {"resource": await update(documents.Resource, resource.row, changed, None, session)}

    try:
        outcome = await run_idempotent(viewer, "updateResource", {}, None, work)
    except DuplicateKeyError:
        return False
    resource.row, resource.organisation_url = outcome["resource"], organisation.url
    return True
