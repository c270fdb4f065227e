"""Existing documents of the pipelines to be imported, read in a few round trips."""

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
from resolvers.imports.catalogue.publishers import UNKNOWN
from resolvers.imports.catalogue.repositories import FOLDER
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.successors import successors


@dataclass(eq=False)
class KnownDataset:
    """A dataset, with the SHA-256 of each of its versions from first to last, and when the last was published."""

    id: str
    identifier: str
    subject: Subject
    digests: list[str]
    newest_at: datetime | None


@dataclass(eq=False)
class KnownResource:
    """A resource with its datasets."""

    row: Row
    organisation_url: str
    code: CodeRepo
    datasets: list[KnownDataset] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The resource's id."""
        found: str = self.row["_id"]
        return found

    def is_of(self, identity: Identity) -> bool:
        """Whether it is the identity's own: of its pipeline, its publisher and its page."""
        keys = (self.organisation_url, self.row.get("landing_page"))
        return keys == (identity.organisation.url, identity.landing_page) and self._is_called(identity)

    def is_of_pipeline(self, identity: Identity) -> bool:
        """Whether it belongs to the identity's pipeline, whatever its publisher, now or in an earlier release."""
        if self._is_called(identity):
            info = identity.pipeline.info
            return info is None or bool(self.code.source) or self.row.get("landing_page") == identity.landing_page
        return self._was_called(identity)

    def _is_called(self, identity: Identity) -> bool:
        """Whether repository, directory and name match the pipeline; without files of code, the title."""
        pipeline = identity.pipeline
        if (self.code.url, self.code.pipeline or "") != (pipeline.repository.url, pipeline.name):
            return False
        if self.code.source and self.code.directory() == pipeline.directory:
            return True
        return self.row.get("title") == identity.title and not (self.code.source and pipeline.source)

    def _was_called(self, identity: Identity) -> bool:
        """Whether an earlier import named it differently. A resource of a described pipeline has the same info.json."""
        pipeline, info = identity.pipeline, identity.pipeline.info
        if self.code.url != pipeline.repository.url or self.code.pipeline not in (None, pipeline.name):
            return False
        if info and self.row.get("info") != info.text:
            return False
        in_directory = bool(self.code.source) and self.code.directory() == pipeline.directory
        return in_directory or self.row.get("title") in identity.former_titles

    def may_become_of(self, identity: Identity) -> bool:
        """Whether new documents of an identity belong here although its page differs."""
        if identity.organisation.url == UNKNOWN:
            return self._is_unknown
        return self.organisation_url == identity.organisation.url

    @property
    def is_of_no_repository(self) -> bool:
        """Whether it holds documents that nothing describes and that are in no repository."""
        return self.code.url is None and self.row.get("info") is None

    @property
    def _is_unknown(self) -> bool:
        """Whether its publisher is unknown. Earlier releases named that after the imported folder."""
        folder = unquote((self.row.get("landing_page") or "").removeprefix(FOLDER)).partition("/")[0]
        return self.organisation_url in (UNKNOWN, former_organisation_url(folder))


async def follow_merges(identities: list[Identity]) -> None:
    """Redirect identities whose organisations were merged into others."""
    former = await successors(documents.Organisation, "url", {one.organisation.url for one in identities})
    present = await _all(documents.Organisation, "_id", set(former.values()))
    urls = {row["_id"]: row["url"] for row in present}
    for one in identities:
        if (id := former.get(one.organisation.url)) in urls:
            one.organisation = replace(one.organisation, url=urls[id])


async def read_known(identities: list[Identity]) -> list[KnownResource]:
    """The resources that any of the identities may refer to, oldest first."""
    organisations = await _all(documents.Organisation, "url", {one.organisation.url for one in identities})
    titles = {title for one in identities for title in (one.title, *one.former_titles)}
    rows = {
        row["_id"]: row
        for row in (
            *await _all(documents.Resource, "organisationRef", {row["_id"] for row in organisations}),
            *await _all(documents.Resource, "title", titles),
            *await _with_documents_of(identities),
        )
    }
    publishers = await _all(documents.Organisation, "_id", {row["organisationRef"] for row in rows.values()})
    urls = {row["_id"]: row["url"] for row in publishers}
    datasets = await _datasets(rows)
    return [
        KnownResource(
            row, urls[row["organisationRef"]], CodeRepo.model_validate(row.get("code_repo") or {}), datasets[id]
        )
        for id, row in sorted(rows.items())
    ]


async def _with_documents_of(identities: list[Identity]) -> list[Row]:
    """The resources that hold documents outside of repositories: their path may have changed."""
    unknown = [one for one in identities if one.pipeline.repository.url is None]
    digests = {digest for one in unknown for series in one.series for digest in series.digests}
    distributions = await _all(documents.Distribution, "sha256", digests, {"parent_dataset": 1})
    datasets = await _all(documents.Dataset, "_id", {row["parent_dataset"] for row in distributions})
    return await _all(documents.Resource, "_id", {row["resourceRef"] for row in datasets})


async def _datasets(resources: Iterable[str]) -> dict[str, list[KnownDataset]]:
    """The datasets of some resources, by resource."""
    rows = await _all(documents.Dataset, "resourceRef", resources)
    versions = await _versions({row["_id"] for row in rows})
    found: dict[str, list[KnownDataset]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["_id"]):
        subject = Subject.model_validate(row.get("subject") or {})
        digests, newest_at = versions[row["_id"]]
        found[row["resourceRef"]].append(KnownDataset(row["_id"], row["identifier"], subject, digests, newest_at))
    return found


async def _versions(datasets: Iterable[str]) -> dict[str, tuple[list[str], datetime | None]]:
    """The digests of each dataset's versions, from first to last, and the publication time of the last."""
    ids = list(datasets)
    distributions = await _all(documents.Distribution, "parent_dataset", ids, {"sha256": 1})
    digest_of = {row["_id"]: row["sha256"] for row in distributions}
    found: dict[str, tuple[list[str], datetime | None]] = defaultdict(lambda: ([], None))
    for version in sorted(await _all(documents.DatasetVersion, "datasetRef", ids), key=lambda row: row["ordinal"]):
        digests, _ = found[version["datasetRef"]]
        digests.append(digest_of[version["distributionRef"]])
        found[version["datasetRef"]] = digests, utc_milliseconds(version["created"])
    return found


async def _all(document: Any, field: str, values: Iterable[str], projection: dict[str, int] | None = None) -> list[Row]:
    rows: list[Row] = await collection_of(document).find({field: {"$in": list(values)}}, projection).to_list()
    return rows
