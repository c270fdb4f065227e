"""Correcting the publishers of resources that earlier releases gave to an organisation that does not exist."""

from collections import Counter

from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.catalogue.find_or_create import find_or_create_organisation
from resolvers.catalogue.organisation import lock_organisation
from resolvers.formats.info_json import former_organisation_url, publisher_text
from resolvers.imports.catalogue.dataset_matching import Destinations
from resolvers.imports.catalogue.existing import ExistingResource
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.folder import INFOS, Reason
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.store import update
from resolvers.writes.transaction import Outcome


async def correct_publishers(identities: list[Identity], destinations: Destinations, viewer: Viewer) -> list[Reason]:
    """Move resources to the publishers that their documents name; returns the moves.

    Moved are only resources whose organisation was made of a text in their info.json that is not a publisher's name,
    such as a dataset's title or a Markdown link. The publisher of any other resource may have been set on purpose.
    """
    moved: list[Reason] = []
    for main in (identity for identity in identities if identity.counts_info):
        resource, info = destinations.resource(main), main.pipeline.info
        if info is None or resource is None or not _is_mistaken(resource, main, info.text):
            continue
        owner = _owner(main, identities, destinations, resource)
        before = resource.organisation_url
        if await _move(resource, owner, viewer):
            reason = f"Its resource moves from {before}, which is not a publisher, to {owner.organisation.url}."
            moved.append(Reason(INFOS, info.file, reason))
    return moved


def _is_mistaken(resource: ExistingResource, main: Identity, info: str) -> bool:
    """Whether a resource's organisation was made of a text in its info.json that is read differently now."""
    text = publisher_text(info)
    former_url = former_organisation_url(text) if text else None
    url = main.default_organisation.url if main.default_organisation else None
    return resource.organisation_url == former_url != url


def _owner(
    main: Identity, identities: list[Identity], destinations: Destinations, resource: ExistingResource
) -> Identity:
    """The identity whose publisher most documents in a resource name; without documents, the pipeline's main one."""
    documents_by_identity = Counter(
        {
            identity: sum(destinations.of(series).resource is resource for series in identity.series)
            for identity in identities
            if identity.pipeline is main.pipeline and not identity.organisation.assumed
        }
    )
    publisher, count = (documents_by_identity.most_common(1) or [(main, 0)])[0]
    return publisher if count else main


async def _move(resource: ExistingResource, owner: Identity, viewer: Viewer) -> bool:
    """Give a resource to an organisation; returns False if that has one with the same page and code already."""
    organisation = owner.organisation

    async def work(session: Session) -> Outcome:
        row = await find_or_create_organisation(organisation.url, organisation.name, session)
        await lock_organisation(row["_id"], session)
        change = {"organisationRef": row["_id"]}
        return {"resource": await update(documents.Resource, resource.row, change, None, session)}

    try:
        outcome = await run_idempotent(viewer, "updateResource", {}, None, work)
    except DuplicateKeyError:
        return False
    resource.row, resource.organisation_url = outcome["resource"], organisation.url
    return True
