"""Choosing the dataset that a document belongs to, where its report does not name one."""

from collections.abc import Iterator
from dataclasses import replace

import documents
from documents.catalogue.dataset import Subject
from documents.mongo.transaction import Session
from resolvers.catalogue.read_distributions import Reported
from resolvers.formats.csvw import read_csvw
from resolvers.formats.csvw_subject import are_different_datasets, longer_names
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput


def names_of(one: Reported) -> list[str]:
    """The names under which a document's dataset may be found or made, the usual one first."""
    if one.is_named:
        return [one.dataset]
    return [one.dataset, *_former_names(one), *longer_names(one.dataset, one.subject)]


async def choose_datasets(known: dict[str, Row], reported: list[Reported], session: Session) -> list[Reported]:
    """The reported documents, each with the name of its dataset.

    `known` has the resource's datasets by name. A document belongs to the first of its names whose dataset is not about
    something else, else to a new dataset under the first free name. Raises InvalidInput where none is free.
    """
    taken = {one.dataset for one in reported if one.is_named}
    chosen: list[Reported] = []
    for number, one in enumerate(reported):
        if not one.is_named:
            one = replace(one, dataset=await _choose(known, one, taken, number, session))
            taken.add(one.dataset)
        chosen.append(one)
    return chosen


async def _choose(known: dict[str, Row], one: Reported, taken: set[str], number: int, session: Session) -> str:
    former = set(_former_names(one))
    free = [name for name in names_of(one) if name not in taken]
    for name in free:
        if name in known and not await _is_another(known[name], one, session):
            return name
    new = next((name for name in free if name not in known and name not in former), None)
    if new is None:
        message = f"Every possible name of its dataset is taken by another dataset: give dataset, as for {one.dataset}."
        raise InvalidInput(message, "distributions", str(number), "dataset")
    return new


async def _is_another(dataset: Row, one: Reported, session: Session) -> bool:
    """Whether the dataset of the document's name is about something else. Unknown, so false, without any document."""
    if dataset["latestVersionRef"] is None or dataset["latestSha256"] == one.csvw.sha256:
        return False
    return are_different_datasets(await _subject(dataset, session), one.subject, one.dataset)


async def _subject(dataset: Row, session: Session) -> Subject:
    """The subject of a dataset's newest document; read from the document again if an earlier release published it."""
    if stored := dataset.get("subject"):
        return Subject.model_validate(stored)
    match = {"versionRef": dataset["latestVersionRef"], "parent_dataset": dataset["_id"]}
    newest = await collection_of(documents.Distribution).find_one(match, {"csvw": 1}, session=session)
    return read_csvw(newest["csvw"]).subject if newest else Subject()


def _former_names(one: Reported) -> Iterator[str]:
    if one.csvw.former_identifier not in (None, one.dataset):
        yield one.csvw.former_identifier
