"""Documents of distributions: their addresses, their bytes, and the newest one of a dataset."""

from dataclasses import dataclass
from urllib.parse import quote

import documents
from documents.storage.bucket import public_origin
from resolvers.access.policies import readable
from resolvers.access.viewer import ANONYMOUS, Viewer
from resolvers.reads import lookups
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row


@dataclass(frozen=True)
class ServedDocument:
    """A document as it was ingested. `public` says whether anonymous callers may see it as well."""

    content: bytes
    sha256: str
    public: bool


@dataclass(frozen=True)
class NewestDistribution:
    """The distribution of a dataset's newest version. `public` says whether anonymous callers may follow the link to it
    as well."""

    id: str
    public: bool


def csvw_path(distribution_id: str) -> str:
    """The path at which this server serves a distribution's document."""
    return f"/distributions/{quote(distribution_id, safe='')}/csvw"


def csvw_urls(distributions: list[Row], viewer: Viewer) -> list[str]:
    """The address of each document, at the origin where the client reached this server."""
    origin = public_origin.get()()
    return [origin + csvw_path(distribution["_id"]) for distribution in distributions]


async def served_document(distribution_id: str, viewer: Viewer) -> ServedDocument | None:
    """The document of a distribution, None when the viewer may see none."""
    lookup = _Lookup(viewer)
    row = await lookup.row(documents.Distribution, distribution_id, "csvw", "sha256")
    return ServedDocument(row["csvw"].encode(), row["sha256"], lookup.is_public) if row else None


async def newest_distribution(dataset_id: str, viewer: Viewer) -> NewestDistribution | None:
    """The newest distribution of a dataset, None when the viewer may see no such dataset, or no version of it."""
    lookup = _Lookup(viewer)
    dataset = await lookup.row(documents.Dataset, dataset_id, "latestVersionRef")
    version = dataset and await lookup.row(documents.DatasetVersion, dataset["latestVersionRef"], "distributionRef")
    distribution = version and await lookup.row(documents.Distribution, version["distributionRef"], "_id")
    return NewestDistribution(distribution["_id"], lookup.is_public) if distribution else None


async def find_dataset_id(resource_id: str, identifier: str, viewer: Viewer) -> str | None:
    """The id of a resource's dataset with this identifier, None when the viewer may see none."""
    key = {"resourceRef": resource_id, "identifier": identifier}
    row = await lookups.by_key(documents.Dataset, key, frozenset({"_id"}), viewer)
    return row["_id"] if row else None


class _Lookup:
    """Looks rows up for a viewer; `is_public` as long as an anonymous caller would have found them too."""

    def __init__(self, viewer: Viewer) -> None:
        self.is_public = True
        self._viewer = viewer

    async def row(self, document: Document, id: str | None, *fields: str) -> Row | None:
        """The row with this id, None when the viewer may see none."""
        if id is None:
            return None
        row = (await lookups.by_ids(document, [id], frozenset(fields), self._viewer)).get(id)
        self.is_public = self.is_public and row is not None and await self._is_visible_to_all(document, id)
        return row

    async def _is_visible_to_all(self, document: Document, id: str) -> bool:
        if readable(document, ANONYMOUS) == readable(document, self._viewer):
            return True
        return id in await lookups.by_ids(document, [id], frozenset({"_id"}), ANONYMOUS)
