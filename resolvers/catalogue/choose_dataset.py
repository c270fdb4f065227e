"""Choosing the dataset that a document belongs to, where its report does not name one."""

from collections.abc import Iterator
from dataclasses import replace

import documents
from documents.catalogue.dataset import Subject
from documents.mongo.transaction import Session
from resolvers.catalogue.read_distributions import ReportedDocument
from resolvers.formats.csvw import read_csvw
from resolvers.formats.csvw_subject import are_different_datasets, longer_names
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput


def candidate_names(document: ReportedDocument) -> list[str]:
    """The names under which a document's dataset may be found or created, the usual one first."""
    if document.is_named:
        return [document.dataset]
    return [document.dataset, *_former_names(document), *longer_names(document.dataset, document.subject)]


async def choose_datasets(
    existing: dict[str, Row], reported: list[ReportedDocument], session: Session
) -> list[ReportedDocument]:
    """The reported documents, each with the name of its dataset.

    `existing` has the resource's datasets by name. A document belongs to the first of its names whose dataset is not
    about something else, else to a new dataset under the first free name. Raises InvalidInput where none is free.
    """
    taken = {document.dataset for document in reported if document.is_named}
    chosen: list[ReportedDocument] = []
    for number, document in enumerate(reported):
        if not document.is_named:
            document = replace(document, dataset=await _choose_name(existing, document, taken, number, session))
            taken.add(document.dataset)
        chosen.append(document)
    return chosen


async def _choose_name(
    existing: dict[str, Row], document: ReportedDocument, taken: set[str], number: int, session: Session
) -> str:
    former = set(_former_names(document))
    free = [name for name in candidate_names(document) if name not in taken]
    for name in free:
        if name in existing and not await _is_about_something_else(existing[name], document, session):
            return name
    new = next((name for name in free if name not in existing and name not in former), None)
    if new is None:
        message = (
            f"Every possible name of its dataset is taken by another dataset: give dataset, as for {document.dataset}."
        )
        raise InvalidInput(message, "distributions", str(number), "dataset")
    return new


async def _is_about_something_else(dataset: Row, document: ReportedDocument, session: Session) -> bool:
    """Whether the dataset is about something else than the document; False for a dataset that has no document yet."""
    if dataset["latestVersionRef"] is None or dataset["latestSha256"] == document.csvw.sha256:
        return False
    return are_different_datasets(await _subject(dataset, session), document.subject, document.dataset)


async def _subject(dataset: Row, session: Session) -> Subject:
    """The subject of a dataset's newest document; read from the document again if an earlier release published it."""
    if stored := dataset.get("subject"):
        return Subject.model_validate(stored)
    match = {"versionRef": dataset["latestVersionRef"], "parent_dataset": dataset["_id"]}
    newest = await collection_of(documents.Distribution).find_one(match, {"csvw": 1}, session=session)
    return read_csvw(newest["csvw"]).subject if newest else Subject()


def _former_names(document: ReportedDocument) -> Iterator[str]:
    if document.csvw.former_identifier not in (None, document.dataset):
        yield document.csvw.former_identifier
