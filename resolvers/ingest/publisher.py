"""Finding the organisation and the resource that a report is about, or making them."""

from pymongo.errors import DuplicateKeyError

import documents
from documents.resource import CodeRepo
from resolvers.code_repo import watched
from resolvers.fetch import Row, collection_of
from resolvers.refusals import InvalidInput
from resolvers.resource import store
from resolvers.writing import Again, Session, insert_unless_there, update

MOST_NEIGHBOURS = 1_000
"""Resources of one landing page that are looked through; real ones have up to six."""


async def find_or_make_organisation(url: str, name: str | None, session: Session) -> Row:
    """The organisation with this URL. A name fills in a missing one, and overwrites none."""
    row = await collection_of(documents.Organisation).find_one({"url": url}, session=session)
    if row is None:
        return await insert_unless_there(documents.Organisation(url=url, name=name), session)
    if name is None or row.get("name") is not None:
        return row
    return await update(documents.Organisation, row, {"name": name}, None, session)


async def find_or_make_resource(reported: documents.Resource, session: Session) -> Row:
    """The resource that a report means, with what it says of title, code and info; what it leaves out stays."""
    row = await _find(reported.with_natural_key(), session)
    if row is None:
        return await insert_unless_there(reported, session)
    before = documents.Resource.model_validate(row)
    after = _merged(before, reported).with_natural_key()
    if after == before:
        return row
    try:
        return await store(row, after, session)
    except DuplicateKeyError as error:
        raise Again from error


async def _find(reported: documents.Resource, session: Session) -> Row | None:
    resources = collection_of(documents.Resource)
    of_organisation = {"organisationRef": reported.organisation_ref}
    row = await resources.find_one(of_organisation | {"naturalKey": reported.natural_key}, session=session)
    if row is not None:
        return row
    on_page = of_organisation | {"landing_page": reported.landing_page}
    neighbours = await resources.find(on_page, limit=MOST_NEIGHBOURS, session=session).to_list()
    fitting = [row for row in neighbours if _may_be(documents.Resource.model_validate(row), reported)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting and not (reported.code_repo or CodeRepo()).source:
        raise InvalidInput(
            f"{len(fitting)} resources have the landing page {reported.landing_page} and this repository: "
            "name a source file, or the title of one of them.",
            "codeRepo",
        )
    return None


def _may_be(known: documents.Resource, reported: documents.Resource) -> bool:
    """Whether a report that does not give a resource's natural key means it all the same.

    A report without source files means the resource with its title, or the only one there. A resource that was made
    before it had code is what the first report with code means, unless their titles differ.
    """
    old, new = known.code_repo or CodeRepo(), reported.code_repo or CodeRepo()
    same_title = reported.title == known.title or reported.title is None
    if not new.source:
        return same_title and old.url == new.url
    return not old.source and old.url in (None, new.url) and (same_title or known.title is None)


def _merged(before: documents.Resource, reported: documents.Resource) -> documents.Resource:
    """What was known, with all that the report says over it."""
    old, new = before.code_repo or CodeRepo(), reported.code_repo or CodeRepo()
    directories = watched(new.monitor_dirs, old) if new.monitor_dirs else old.monitor_dirs
    code = CodeRepo(
        provider=new.provider, url=new.url or old.url, source=new.source or old.source, monitor_dirs=directories
    )
    after: documents.Resource = before.model_copy()
    after.code_repo = code
    after.title = reported.title or before.title
    after.info = reported.info or before.info
    return after
