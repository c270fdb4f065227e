"""Finding the distributions that stood behind addresses at a time: of a dataset's table, or of its document here."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import chain
from typing import NamedTuple

import documents
from documents.catalogue.dataset import Subject
from documents.mongo.transaction import Session
from documents.storage.bucket import public_origin
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.filters import all_of
from resolvers.formats.csvw_subject import are_different_datasets, longer_names, subject_of
from resolvers.formats.slugs import file_slug
from resolvers.formats.sources import is_relative
from resolvers.reads.rows import Row, collection_of

SERVED = re.compile(r"/(?:distributions/(?P<distribution>[^/?]+)/csvw|datasets/(?P<dataset>[^/?]+)/latest)")
"""Paths at which this server serves the document of a distribution, and redirects to that of a dataset."""


class Moment(NamedTuple):
    """A moment of a resource, as a viewer sees it: what was published by then, and by which names it is known there."""

    resource_id: str
    at: datetime
    viewer: Viewer
    session: Session


async def published_tables(addresses: Iterable[str], moment: Moment) -> dict[str, Row]:
    """The distributions that described the data at these addresses at a moment, by address; those without are left out.

    An address is that of a table, in the form of `file_url`; or a relative one, of a table of a dataset of the same
    resource; or one of this server. A distribution has its `_id` and its `sha256`.
    """
    wanted = list(dict.fromkeys(addresses))
    relative = [address for address in wanted if is_relative(address)]
    absolute = [address for address in wanted if not is_relative(address)]
    distributions = _served_here("distribution", absolute) | await _by_table_url(absolute, moment)
    datasets = _served_here("dataset", absolute) | await _datasets_of_resource(relative, moment)
    current = await _current_distributions(datasets.values(), moment)
    distributions |= {address: current[dataset] for address, dataset in datasets.items() if dataset in current}
    rows = await _readable_distributions(distributions.values(), moment)
    return {address: rows[id] for address, id in distributions.items() if id in rows}


def _served_here(kind: str, addresses: list[str]) -> dict[str, str]:
    """The ids of distributions or datasets whose documents this server serves at these addresses, by address."""
    origin = public_origin.get()()
    if not origin:
        return {}
    paths = {address: address.removeprefix(origin) for address in addresses}
    return {
        address: served[kind] for address, path in paths.items() if (served := SERVED.fullmatch(path)) and served[kind]
    }


async def _by_table_url(urls: list[str], moment: Moment) -> dict[str, str]:
    """The ids of the distributions published last by a moment for the tables at these URLs."""
    if not urls:
        return {}
    # MongoDB uses the partial index only where the filter repeats its condition.
    stages: list[Row] = [
        {"$match": {"table_url": {"$in": urls, "$type": "string"}, "created_at": {"$lte": moment.at}}},
        {"$sort": {"table_url": 1, "created_at": -1, "_id": -1}},
        {"$group": {"_id": "$table_url", "newest": {"$first": "$_id"}}},
    ]
    async with await collection_of(documents.Distribution).aggregate(stages, session=moment.session) as rows:
        return {row["_id"]: row["newest"] async for row in rows}


async def _datasets_of_resource(tables: list[str], moment: Moment) -> dict[str, str]:
    """The ids of the resource's datasets whose documents describe the tables at these relative addresses."""
    subjects = {table: subject_of(None, {"url": table}, []) for table in tables if file_slug(table)}
    if not subjects:
        return {}
    names = {table: [file_slug(table), *longer_names(file_slug(table), subjects[table])] for table in subjects}
    match = {"resourceRef": moment.resource_id, "identifier": {"$in": sorted({*chain(*names.values())})}}
    rows = collection_of(documents.Dataset).find(match, ["identifier", "subject"], session=moment.session)
    by_name = {row["identifier"]: row async for row in rows}
    found: dict[str, str] = {}
    for table, subject in subjects.items():
        for row in (by_name[name] for name in names[table] if name in by_name):
            if not are_different_datasets(Subject.model_validate(row.get("subject") or {}), subject, file_slug(table)):
                found.setdefault(table, row["_id"])
    return found


async def _current_distributions(datasets: Collection[str], moment: Moment) -> dict[str, str]:
    """The ids of the distributions of the versions that were current, by dataset."""
    if not datasets:
        return {}
    stages: list[Row] = [
        {"$match": {"datasetRef": {"$in": sorted(set(datasets))}, "created": {"$lte": moment.at}}},
        {"$sort": {"datasetRef": 1, "ordinal": -1}},
        {"$group": {"_id": "$datasetRef", "current": {"$first": "$distributionRef"}}},
    ]
    async with await collection_of(documents.DatasetVersion).aggregate(stages, session=moment.session) as rows:
        return {row["_id"]: row["current"] async for row in rows}


async def _readable_distributions(ids: Collection[str], moment: Moment) -> dict[str, Row]:
    if not ids:
        return {}
    match = all_of([{"_id": {"$in": sorted(set(ids))}}, readable(documents.Distribution, moment.viewer)])
    rows = collection_of(documents.Distribution).find(match, ["sha256"], session=moment.session)
    return {row["_id"]: row async for row in rows}
