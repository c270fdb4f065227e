"""Components: what they are known by, and what they say of themselves."""

from typing import Any

import documents
from resolvers.checks import a_url
from resolvers.fetch import collection_of
from resolvers.ingest.odtp_yml import ComponentDescription
from resolvers.writing import Session


def a_repository(link: str, *path: str) -> str:
    """The URL of a repository, the same for all the ways to write it: without trailing slashes or `.git`."""
    plain = a_url(link.strip(), *path)
    while plain != (shorter := plain.rstrip("/").removesuffix(".git")):
        plain = shorter
    return a_url(plain, *path)


def described_by(description: ComponentDescription) -> dict[str, Any]:
    """What a component keeps of a description, by stored name."""
    return {
        "componentName": description.component_name,
        "title": description.title,
        "author": description.author,
        "type": description.type.value,
        "description": description.description,
        "tags": description.tags,
    }


async def latest_version_ref(component_id: str, session: Session) -> str | None:
    """The id of the version ingested last of those that are not deprecated, None when there is none."""
    newest = await collection_of(documents.ComponentVersion).find_one(
        {"componentId": component_id, "deprecated": {"$ne": True}},
        {"_id": 1},
        sort=[("created_at", -1), ("_id", -1)],
        session=session,
    )
    return newest["_id"] if newest else None
