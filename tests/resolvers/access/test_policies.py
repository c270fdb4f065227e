"""The filters that keep viewers to what they may see."""

from typing import Any

import pytest

import documents
from resolvers.access.policies import MATCH_ALL, POLICIES, owns, readable
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.filters import MATCH_NOTHING

ME = "user_000000000000000000000001"
PEOPLE = [ANONYMOUS, Viewer(Role.WORKER), Viewer(Role.USER, ME), Viewer(Role.WORKER, ME)]
OWNER = {
    documents.DigitalTwin: "userRef",
    documents.Execution: "ownerRef",
    documents.Step: "ownerRef",
    documents.Result: "ownerRef",
}
RUN = {
    documents.Execution: ["runners"],
    documents.Step: ["runners", "borrowers.key"],
    documents.Output: ["runners", "borrowers.key"],
}
CATALOGUE = [
    documents.Organisation,
    documents.Resource,
    documents.Dataset,
    documents.DatasetVersion,
    documents.Distribution,
    documents.Transform,
    documents.Component,
    documents.ComponentVersion,
    documents.User,
]


def test_every_document_has_a_policy() -> None:
    assert set(POLICIES) == set(documents.ALL)


@pytest.mark.parametrize("document", CATALOGUE)
@pytest.mark.parametrize("viewer", PEOPLE)
def test_the_catalogue_and_the_registry_are_for_everybody(document: Any, viewer: Viewer) -> None:
    assert readable(document, viewer) == MATCH_ALL


@pytest.mark.parametrize("document", OWNER)
@pytest.mark.parametrize("viewer", PEOPLE)
def test_a_twin_and_what_follows_it_are_public_or_for_its_owner_and_readers(document: Any, viewer: Viewer) -> None:
    own = {"$or": [{"public": True}, {OWNER[document]: ME}, {"readerRefs": ME}]}
    expected = own if viewer.user_id else {"public": True}

    assert readable(document, viewer) == _or_run(document, expected, viewer)


@pytest.mark.parametrize("viewer", PEOPLE)
def test_an_output_is_for_everybody_for_its_owner_or_for_those_it_names(viewer: Viewer) -> None:
    public = {"access_control.public": True}
    own = {"$or": [public, {"ownerRef": ME}, {"readerRefs": ME}, {"access_control.authorized_users": ME}]}

    assert readable(documents.Output, viewer) == _or_run(documents.Output, own if viewer.user_id else public, viewer)


@pytest.mark.parametrize("document", RUN)
def test_a_worker_runs_by_its_token_and_without_one_by_its_user(document: Any) -> None:
    by_token = Viewer(Role.WORKER, ME, token_id="token_1")

    assert readable(document, by_token)["$or"][1:] == [{path: "token_1"} for path in RUN[document]]
    assert readable(document, Viewer(Role.WORKER, ME))["$or"][1:] == [{path: ME} for path in RUN[document]]
    assert readable(document, Viewer(Role.ADMIN, ME)) == MATCH_ALL


@pytest.mark.parametrize(
    ("document", "path"),
    [(documents.Execution, "_id"), (documents.Step, "executionRef"), (documents.Output, "stepRef")],
)
def test_a_worker_is_shown_what_belongs_to_the_end_that_it_reports(document: Any, path: str) -> None:
    reported = ("execution_1", "step_1")

    found = readable(document, Viewer(Role.WORKER, ME, token_id="token_1", reported=reported))

    assert found["$or"][1:] == [*({run: "token_1"} for run in RUN[document]), {path: {"$in": list(reported)}}]
    assert readable(document, Viewer(Role.USER, ME, reported=reported)) == readable(document, Viewer(Role.USER, ME))


def _or_run(document: Any, expected: Any, viewer: Viewer) -> Any:
    """Workers read what they run and reuse, too."""
    if viewer.role is not Role.WORKER or document not in RUN:
        return expected
    return {"$or": [expected, *({path: viewer.key} for path in RUN[document])]}


@pytest.mark.parametrize("document", [documents.IdempotencyKey, documents.QuotaUsage, documents.SeenFile])
@pytest.mark.parametrize("viewer", [*PEOPLE, Viewer(Role.ADMIN)])
def test_secrets_of_the_server_are_for_nobody(document: Any, viewer: Viewer) -> None:
    assert readable(document, viewer) == MATCH_NOTHING


def test_a_token_is_for_the_user_whom_it_stands_for_but_not_for_their_workers() -> None:
    assert readable(documents.Token, Viewer(Role.USER, ME)) == {"userRef": ME}
    assert readable(documents.Token, Viewer(Role.WORKER, ME, "token_1")) == MATCH_NOTHING
    assert readable(documents.Token, Viewer(Role.USER)) == MATCH_NOTHING
    assert readable(documents.Token, ANONYMOUS) == MATCH_NOTHING


def test_an_upload_is_for_the_viewer_who_began_it_and_for_nobody_else() -> None:
    assert readable(documents.Upload, Viewer(Role.WORKER, ME, "token_1")) == {"viewerKey": "token_1"}
    assert readable(documents.Upload, Viewer(Role.USER, ME)) == {"viewerKey": ME}
    assert readable(documents.Upload, Viewer(Role.ADMIN)) == {"viewerKey": "ADMIN"}
    assert readable(documents.Upload, ANONYMOUS) == MATCH_NOTHING


def test_an_administrator_is_kept_from_nothing_else() -> None:
    kept = [document for document in documents.ALL if readable(document, Viewer(Role.ADMIN)) != MATCH_ALL]

    server_only = [
        documents.ImportedRow,
        documents.IngestionPart,
        documents.IdempotencyKey,
        documents.QuotaUsage,
        documents.SeenFile,
    ]
    assert kept == [documents.DailyUsage, *server_only, documents.Upload, documents.Usage]


@pytest.mark.parametrize(
    ("viewer", "expected"),
    [
        (ANONYMOUS, False),
        (Viewer(Role.WORKER), False),
        (Viewer(Role.USER, "user_2"), False),
        (Viewer(Role.USER, ME), True),
        (Viewer(Role.WORKER, ME), True),
        (Viewer(Role.ADMIN), True),
    ],
)
def test_a_thing_belongs_to_its_owner_and_to_administrators(viewer: Viewer, expected: bool) -> None:
    assert owns(viewer, ME) is expected


def test_nothing_belongs_to_somebody_without_an_id() -> None:
    assert not owns(ANONYMOUS, "")
