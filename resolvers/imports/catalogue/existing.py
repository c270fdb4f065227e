"""Existing resources and datasets of the imported pipelines, read in a few round trips."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import documents
from documents.base import utc_milliseconds
from documents.catalogue.dataset import Subject
from documents.catalogue.resource import CodeRepo
from resolvers.formats.info_json import former_organisation_url
from resolvers.imports.catalogue.identity import Identity
from resolvers.imports.catalogue.publishers import UNKNOWN_PUBLISHER
from resolvers.imports.catalogue.repositories import FOLDER
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.successors import successors


@dataclass(eq=False)
class ExistingDataset:
    """A dataset with the SHA-256 of its versions, from first to last, and the publication time of the last one."""

    id: str
    identifier: str
    subject: Subject
    digests: list[str]
    newest_at: datetime | None


@dataclass(eq=False)
class ExistingResource:
    """A resource with its datasets."""

    row: Row
    organisation_url: str
    code: CodeRepo
    datasets: list[ExistingDataset] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The resource's id."""
        id: str = self.row["_id"]
        return id

    def is_of(self, identity: Identity) -> bool:
        """Whether the resource is the identity's own: of its pipeline, its publisher and its page."""
        keys = (self.organisation_url, self.row.get("landing_page"))
        return keys == (identity.organisation.url, identity.landing_page) and self._has_same_code(identity)

    def is_of_pipeline(self, identity: Identity) -> bool:
        """Whether the resource is of the identity's pipeline, with any publisher, also as earlier releases named it."""
        if self._has_same_code(identity):
            info = identity.pipeline.info
            return info is None or bool(self.code.source) or self.row.get("landing_page") == identity.landing_page
        return self._had_same_code(identity)

    def _has_same_code(self, identity: Identity) -> bool:
        """Whether the repository, directory and name are the pipeline's; without files of code, also the title."""
        pipeline = identity.pipeline
        if (self.code.url, self.code.pipeline or "") != (pipeline.repository.url, pipeline.name):
            return False
        if self.code.source and self.code.directory() == pipeline.directory:
            return True
        return self.row.get("title") == identity.title and not (self.code.source and pipeline.source)

    def _had_same_code(self, identity: Identity) -> bool:
        """Whether an earlier release recorded the pipeline differently; with an info.json, that has to be the same."""
        pipeline, info = identity.pipeline, identity.pipeline.info
        if self.code.url != pipeline.repository.url or self.code.pipeline not in (None, pipeline.name):
            return False
        if info and self.row.get("info") != info.text:
            return False
        in_directory = bool(self.code.source) and self.code.directory() == pipeline.directory
        return in_directory or self.row.get("title") in identity.former_titles

    def accepts_new_documents_of(self, identity: Identity) -> bool:
        """Whether new documents of an identity with another page belong to this resource."""
        if identity.organisation.url == UNKNOWN_PUBLISHER:
            return self._has_unknown_publisher
        return self.organisation_url == identity.organisation.url

    @property
    def has_no_repository(self) -> bool:
        """Whether the resource has neither a repository nor an info.json."""
        return self.code.url is None and self.row.get("info") is None

    @property
    def _has_unknown_publisher(self) -> bool:
        """Whether the publisher is unknown. Earlier releases named it after the imported folder."""
        folder = unquote((self.row.get("landing_page") or "").removeprefix(FOLDER)).partition("/")[0]
        return self.organisation_url in (UNKNOWN_PUBLISHER, former_organisation_url(folder))


async def follow_merges(identities: list[Identity]) -> None:
    """Replace organisations of identities that were merged into others by those."""
    former = await successors(documents.Organisation, "url", {identity.organisation.url for identity in identities})
    present = await _find_all(documents.Organisation, "_id", set(former.values()))
    urls = {row["_id"]: row["url"] for row in present}
    for identity in identities:
        if (id := former.get(identity.organisation.url)) in urls:
            identity.organisation = replace(identity.organisation, url=urls[id])


async def read_existing(identities: list[Identity]) -> list[ExistingResource]:
    """The resources that may be those of any of the identities, oldest first."""
    organisations = await _find_all(
        documents.Organisation, "url", {identity.organisation.url for identity in identities}
    )
    titles = {title for identity in identities for title in (identity.title, *identity.former_titles)}
    rows = {
        row["_id"]: row
        for row in (
            *await _find_all(documents.Resource, "organisationRef", {row["_id"] for row in organisations}),
            *await _find_all(documents.Resource, "title", titles),
            *await _resources_outside_repositories(identities),
        )
    }
    publishers = await _find_all(documents.Organisation, "_id", {row["organisationRef"] for row in rows.values()})
    urls = {row["_id"]: row["url"] for row in publishers}
    datasets = await _datasets(rows)
    return [
        ExistingResource(
            row, urls[row["organisationRef"]], CodeRepo.model_validate(row.get("code_repo") or {}), datasets[id]
        )
        for id, row in sorted(rows.items())
    ]


async def _resources_outside_repositories(identities: list[Identity]) -> list[Row]:
    """The resources with versions of documents outside of repositories, whose paths may have changed."""
    outside = [identity for identity in identities if identity.pipeline.repository.url is None]
    digests = {digest for identity in outside for series in identity.series for digest in series.digests}
    distributions = await _find_all(documents.Distribution, "sha256", digests, {"parent_dataset": 1})
    datasets = await _find_all(documents.Dataset, "_id", {row["parent_dataset"] for row in distributions})
    return await _find_all(documents.Resource, "_id", {row["resourceRef"] for row in datasets})


async def _datasets(resources: Iterable[str]) -> dict[str, list[ExistingDataset]]:
    """The datasets of the resources, by resource."""
    rows = await _find_all(documents.Dataset, "resourceRef", resources)
    versions = await _versions({row["_id"] for row in rows})
    by_resource: dict[str, list[ExistingDataset]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["_id"]):
        subject = Subject.model_validate(row.get("subject") or {})
        digests, newest_at = versions[row["_id"]]
        by_resource[row["resourceRef"]].append(
            ExistingDataset(row["_id"], row["identifier"], subject, digests, newest_at)
        )
    return by_resource


async def _versions(datasets: Iterable[str]) -> dict[str, tuple[list[str], datetime | None]]:
    """The digests of each dataset's versions, from first to last, and the publication time of the last one."""
    ids = list(datasets)
    distributions = await _find_all(documents.Distribution, "parent_dataset", ids, {"sha256": 1})
    digest_of = {row["_id"]: row["sha256"] for row in distributions}
    by_dataset: dict[str, tuple[list[str], datetime | None]] = defaultdict(lambda: ([], None))
    for version in sorted(await _find_all(documents.DatasetVersion, "datasetRef", ids), key=lambda row: row["ordinal"]):
        digests, _ = by_dataset[version["datasetRef"]]
        digests.append(digest_of[version["distributionRef"]])
        by_dataset[version["datasetRef"]] = digests, utc_milliseconds(version["created"])
    return by_dataset


async def _find_all(
    document: Any, field: str, values: Iterable[str], projection: dict[str, int] | None = None
) -> list[Row]:
    rows: list[Row] = await collection_of(document).find({field: {"$in": list(values)}}, projection).to_list()
    return rows
