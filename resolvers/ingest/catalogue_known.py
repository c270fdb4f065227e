"""What the database has of the pipelines that are about to be imported, read in a few round trips."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import documents
from documents.resource import CodeRepo
from resolvers.fetch import Row, collection_of
from resolvers.ingest.catalogue_identity import Identity

Key = tuple[str | None, ...]


class Known:
    """Resources by what identifies a pipeline, and the digests of their datasets' versions."""

    def __init__(self, resources: dict[Key, Row], digests: dict[tuple[str, str], list[str]]) -> None:
        self._resources = resources
        self._digests = digests

    def resource(self, identity: Identity) -> Row | None:
        """The resource of a pipeline: the one with its code's directory, else with its title and no other directory."""
        key = (identity.organisation_url, identity.landing_page, identity.pipeline.repository.url)
        found = self._resources.get((*key, "directory", identity.pipeline.directory))
        if found or (*key, "title", identity.title) not in self._resources:
            return found
        titled = self._resources[*key, "title", identity.title]
        elsewhere = (titled.get("code_repo") or {}).get("source") and identity.pipeline.source
        return None if elsewhere else titled

    def digests(self, identity: Identity, dataset: str) -> list[str]:
        """The SHA-256 of each version of a dataset, from first to last; empty when there is none."""
        resource = self.resource(identity)
        return self._digests.get((resource["_id"], dataset), []) if resource else []


async def keep_identities(identities: list[Identity]) -> None:
    """Let pipelines without an info.json keep the organisation and the page that they were imported under.

    Both are taken from whatever documents lie there, and a new document must not make another resource of them all.
    """
    bare = {one.title: one for one in identities if one.pipeline.info is None}
    rows = await _all(documents.Resource, "title", bare)
    organisations = await _all(documents.Organisation, "_id", {row["organisationRef"] for row in rows})
    urls = {row["_id"]: row["url"] for row in organisations}
    for row in sorted(rows, key=lambda row: row["_id"], reverse=True):
        one = bare[row["title"]]
        if (row.get("code_repo") or {}).get("url") == one.pipeline.repository.url and row.get("landing_page"):
            one.organisation_url, one.landing_page = urls[row["organisationRef"]], row["landing_page"]
            one.organisation_name = None


async def read_known(identities: list[Identity]) -> Known:
    """Everything the database has of some pipelines."""
    urls = {one.organisation_url for one in identities}
    organisations = {row["_id"]: row["url"] for row in await _all(documents.Organisation, "url", urls)}
    resources: dict[Key, Row] = {}
    for row in await _all(documents.Resource, "organisationRef", organisations):
        code = CodeRepo.model_validate(row.get("code_repo") or {})
        key = (organisations[row["organisationRef"]], row.get("landing_page"), code.url)
        resources[*key, "title", row.get("title")] = row
        if code.source:
            resources[*key, "directory", code.directory()] = row
    return Known(resources, await _digests({row["_id"] for row in resources.values()}))


async def _digests(resources: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    datasets = {row["_id"]: row for row in await _all(documents.Dataset, "resourceRef", resources)}
    distributions = await _all(documents.Distribution, "parent_dataset", datasets, {"sha256": 1})
    digest_of = {row["_id"]: row["sha256"] for row in distributions}
    versions = await _all(documents.DatasetVersion, "datasetRef", datasets)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for version in sorted(versions, key=lambda row: row["ordinal"]):
        dataset = datasets[version["datasetRef"]]
        found[dataset["resourceRef"], dataset["identifier"]].append(digest_of[version["distributionRef"]])
    return found


async def _all(document: Any, field: str, values: Iterable[str], projection: dict[str, int] | None = None) -> list[Row]:
    rows: list[Row] = await collection_of(document).find({field: {"$in": list(values)}}, projection).to_list()
    return rows
