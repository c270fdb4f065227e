"""Publishing: a new version of each dataset whose document changed, and none where it did not."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from beanie.odm.utils.dump import get_dict
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

import documents
from documents.base import new_id, now
from documents.catalogue.distribution import CsvwColumn
from documents.mongo.transaction import Session
from resolvers.catalogue.choose_dataset import candidate_names, choose_datasets
from resolvers.catalogue.dataset_facts import changed_facts
from resolvers.catalogue.expected_versions import check_expected_versions
from resolvers.catalogue.read_distributions import ReportedDocument
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.transaction import RetryTransaction
from resolvers.writes.unique_index_errors import DUPLICATE_KEY

Write = InsertOne[Row] | UpdateOne


@dataclass(frozen=True)
class Publication:
    """A published version with its distribution."""

    version: documents.DatasetVersion
    distribution: documents.Distribution


async def publish(
    resource_id: str, transform_id: str, reported: list[ReportedDocument], at: datetime, session: Session
) -> list[Row]:
    """Publish the changed documents; returns the new versions in the order of the report. Raises Refusals where one is
    not the next version."""
    names = [name for document in reported for name in candidate_names(document)]
    existing = await _existing_datasets(resource_id, names, session)
    reported = await choose_datasets(existing, reported, session)
    await check_expected_versions(existing, reported, session)
    writes: list[Write] = []
    publications: list[Publication] = []
    for document in reported:
        name = document.dataset
        row = existing.get(name) or _row(documents.Dataset(resource_ref=resource_id, identifier=name))
        is_unchanged = row["latestSha256"] == document.csvw.sha256
        publication = None if is_unchanged else _publication(row, transform_id, document, at)
        if publication:
            publications.append(publication)
        if changes := _changes(row, document, publication):
            writes.append(_dataset_write(row, changes, is_new=name not in existing))
    await _write_publications(writes, publications, session)
    return [_row(publication.version) for publication in publications]


async def _existing_datasets(resource_id: str, identifiers: list[str], session: Session) -> dict[str, Row]:
    match = {"resourceRef": resource_id, "identifier": {"$in": identifiers}}
    rows = await collection_of(documents.Dataset).find(match, session=session).to_list()
    return {row["identifier"]: row for row in rows}


def _publication(dataset: Row, transform_id: str, document: ReportedDocument, at: datetime) -> Publication:
    ordinal = dataset["latestOrdinal"] + 1
    distribution_id = new_id(documents.Distribution.kind)
    facts = dataset | changed_facts(dataset, document, published=True)
    version = documents.DatasetVersion(
        dataset_ref=dataset["_id"],
        label=f"v{ordinal}",
        ordinal=ordinal,
        distribution_ref=distribution_id,
        created_at=at,
    )
    distribution = documents.Distribution(
        id=distribution_id,
        dataset_ref=dataset["_id"],
        version_ref=version.id,
        dataset_name=facts["title"] or dataset["identifier"],
        version_label=version.label,
        csvw=document.text,
        sha256=document.csvw.sha256,
        size_bytes=document.csvw.size_bytes,
        columns=[CsvwColumn(**asdict(column)) for column in document.csvw.columns],
        table_url=document.csvw.table_url,
        transform_ref=transform_id,
        created_at=at,
    )
    return Publication(version, distribution)


def _changes(dataset: Row, document: ReportedDocument, publication: Publication | None) -> dict[str, Any]:
    """The changes to a dataset, by stored name: the facts of its newest document, and where that is found."""
    changes = changed_facts(dataset, document, published=publication is not None)
    if publication is None:
        return changes
    return changes | {
        "latestOrdinal": publication.version.ordinal,
        "latestVersionRef": publication.version.id,
        "latestSha256": document.csvw.sha256,
        "subject": document.subject.model_dump(),
    }


def _dataset_write(dataset: Row, changes: dict[str, Any], *, is_new: bool) -> Write:
    if is_new:
        return InsertOne(dataset | changes)
    return UpdateOne({"_id": dataset["_id"]}, {"$set": changes | {"updated_at": now()}, "$inc": {"revision": 1}})


async def _write_publications(writes: list[Write], publications: list[Publication], session: Session) -> None:
    """Write datasets first: two calls that publish the same one conflict there, before either has written anything
    large."""
    if writes:
        try:
            await collection_of(documents.Dataset).bulk_write(writes, session=session)
        except BulkWriteError as error:
            if any(failure["code"] == DUPLICATE_KEY for failure in error.details["writeErrors"]):
                raise RetryTransaction from error
            raise
    if publications:
        distributions = [_row(publication.distribution) for publication in publications]
        await collection_of(documents.Distribution).insert_many(distributions, session=session)
        versions = [_row(publication.version) for publication in publications]
        await collection_of(documents.DatasetVersion).insert_many(versions, session=session)


def _row(document: documents.Document) -> Row:
    row: Row = get_dict(document, to_db=True)
    return row
