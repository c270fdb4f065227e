"""Finding or creating the organisation and the resource that a report is about."""

from pymongo.errors import DuplicateKeyError

import documents
from documents.catalogue.resource import CodeRepo
from documents.mongo.transaction import Session
from resolvers.catalogue.organisation import lock_organisation
from resolvers.catalogue.resource import write_resource
from resolvers.file_events.code_repo import with_earlier_counts
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.successors import successor
from resolvers.user_errors import InvalidInput
from resolvers.writes.store import insert_or_retry, update
from resolvers.writes.transaction import RetryTransaction

MAX_NEIGHBOURS = 1_000
"""Resources of one landing page that are searched; real pages have up to six."""


async def find_or_create_organisation(url: str, name: str | None, session: Session) -> Row:
    """The organisation with this URL, or the one that it was merged into; created if missing. A given name fills in a
    missing one."""
    organisations = collection_of(documents.Organisation)
    row = await organisations.find_one({"url": url}, session=session)
    if row is None and (present := await successor(documents.Organisation, "url", url, session)):
        row = await organisations.find_one({"_id": present}, session=session)
    if row is None:
        return await insert_or_retry(documents.Organisation(url=url, name=name), session)
    if name is None or row.get("name") is not None:
        return row
    return await update(documents.Organisation, row, {"name": name}, None, session)


async def find_or_create_resource(reported: documents.Resource, session: Session) -> Row:
    """The resource that a report is about, updated with its title, code and info; fields that the report leaves out
    stay."""
    row = await _find(reported.with_natural_key(), session)
    if row is None:
        await lock_organisation(reported.organisation_ref, session)
        return await insert_or_retry(reported, session)
    before = documents.Resource.model_validate(row)
    after = _with_reported_values(before, reported).with_natural_key()
    if after == before:
        return row
    try:
        return await write_resource(row, after, session)
    except DuplicateKeyError as error:
        raise RetryTransaction from error


async def _find(reported: documents.Resource, session: Session) -> Row | None:
    resources = collection_of(documents.Resource)
    of_organisation = {"organisationRef": reported.organisation_ref}
    row = await resources.find_one(of_organisation | {"naturalKey": reported.natural_key}, session=session)
    if row is not None:
        return row
    on_page = of_organisation | {"landing_page": reported.landing_page}
    neighbours = await resources.find(on_page, limit=MAX_NEIGHBOURS, session=session).to_list()
    matches = [row for row in neighbours if _matches_loosely(documents.Resource.model_validate(row), reported)]
    if len(matches) == 1:
        return matches[0]
    if matches and not (reported.code_repo or CodeRepo()).source:
        raise InvalidInput(
            f"{len(matches)} resources have the landing page {reported.landing_page} and this repository: "
            "name a source file, or the title of one of them.",
            "codeRepo",
        )
    return None


def _matches_loosely(stored: documents.Resource, reported: documents.Resource) -> bool:
    """Whether a report without a resource's natural key may be about it.

    A report without source files means the resource with its title, or the only one there. A resource that was created
    before it had code is the one that the first report with code means, unless their titles differ.
    """
    old, new = stored.code_repo or CodeRepo(), reported.code_repo or CodeRepo()
    same_title = reported.title == stored.title or reported.title is None
    if new.pipeline and old.pipeline not in (None, new.pipeline):
        return False
    if not new.source:
        return same_title and old.url == new.url
    return not old.source and old.url in (None, new.url) and (same_title or stored.title is None)


def _with_reported_values(before: documents.Resource, reported: documents.Resource) -> documents.Resource:
    """The stored resource, updated with the values that the report gives."""
    old, new = before.code_repo or CodeRepo(), reported.code_repo or CodeRepo()
    directories = with_earlier_counts(new.monitor_dirs, old) if new.monitor_dirs else old.monitor_dirs
    code = CodeRepo(
        provider=new.provider,
        url=new.url or old.url,
        pipeline=new.pipeline or old.pipeline,
        source=new.source or old.source,
        monitor_dirs=directories,
    )
    after: documents.Resource = before.model_copy()
    after.code_repo = code
    after.title = reported.title or before.title
    after.info = reported.info or before.info
    return after
