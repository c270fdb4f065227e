"""Components: their natural keys, and the facts in their descriptions."""

from typing import Any

import documents
from documents.activities.repository_url import without_git_suffix
from documents.mongo.transaction import Session
from resolvers.formats.odtp_yml.description import ComponentDescription
from resolvers.reads.rows import collection_of
from resolvers.validators import check_url


def normalise_repository_url(link: str, *path: str) -> str:
    """The canonical URL of a repository: without trailing slashes or `.git`."""
    return check_url(without_git_suffix(check_url(link.strip(), *path)), *path)


def description_fields(description: ComponentDescription) -> dict[str, Any]:
    """The fields of a component that its description sets, by stored name."""
    return {
        "componentName": description.component_name,
        "title": description.title,
        "author": description.author,
        "type": description.type.value,
        "description": description.description,
        "tags": description.tags,
    }


async def latest_version_ref(component_id: str, session: Session) -> str | None:
    """The id of the most recently ingested version that is not deprecated, None when there is none."""
    newest = await collection_of(documents.ComponentVersion).find_one(
        {"componentId": component_id, "deprecated": {"$ne": True}},
        {"_id": 1},
        sort=[("created_at", -1), ("_id", -1)],
        session=session,
    )
    return newest["_id"] if newest else None
