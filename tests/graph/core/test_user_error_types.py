"""Each refusal becomes the user error of its kind, with all that the kind tells beside code, message and path."""

from dataclasses import asdict
from typing import Any

import pytest

from graph.catalogue import report_transform
from graph.core import user_error_types as shown
from graph.core.user_error_types import ErrorCode, user_errors
from resolvers import user_errors as refusals
from resolvers.catalogue.expected_versions import VersionConflict
from resolvers.user_errors import Refusal, Refusals

ROW = {"_id": "resource_1", "revision": 4}
VERSION = {"_id": "datasetVersion_2", "label": "2026-11"}


@pytest.mark.parametrize(
    ("refused", "kind", "fields"),
    [
        (refusals.InvalidInput("No.", "url"), shown.InvalidInput, {"code": ErrorCode.VALIDATION}),
        (refusals.NotFound("Output", "output_1", "id"), shown.NotFound, {"code": ErrorCode.NOT_FOUND}),
        (refusals.Forbidden("No."), shown.Forbidden, {"code": ErrorCode.FORBIDDEN}),
        (refusals.AlreadyExists("No."), shown.Refusal, {"code": ErrorCode.ALREADY_EXISTS}),
        (refusals.LimitExceeded("No.", "steps", "2"), shown.Refusal, {"code": ErrorCode.LIMIT_EXCEEDED}),
        (Refusal("No.", code="UNSUPPORTED_VERSION"), shown.Refusal, {"code": ErrorCode.UNSUPPORTED_VERSION}),
        (
            refusals.RevisionConflict("Resource", 3, ROW),
            shown.RevisionConflict,
            {"code": ErrorCode.REVISION_CONFLICT, "expected_revision": 3, "current_revision": 4, "current": ROW},
        ),
        (
            VersionConflict("trips", "datasetVersion_1", VERSION, "distributions", "0"),
            report_transform.VersionConflict,
            {
                "code": ErrorCode.REVISION_CONFLICT,
                "expected_latest_version_id": "datasetVersion_1",
                "latest_version": VERSION,
            },
        ),
        (
            refusals.InvalidState("No.", "id", current="RUNNING", allowed=["QUEUED", "WAITING"]),
            shown.InvalidState,
            {"code": ErrorCode.INVALID_STATE, "current_state": "RUNNING", "allowed_states": ["QUEUED", "WAITING"]},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Refusal) else "",
)
def test_a_refusal_is_shown_as_its_kind_with_what_the_kind_tells(
    refused: Refusal, kind: type[shown.UserError], fields: dict[str, Any]
) -> None:
    (error,) = user_errors(refused)

    assert type(error) is kind
    assert asdict(error) == {"message": refused.message, "path": ["input", *refused.path], **fields}


def test_several_refusals_are_shown_in_their_order() -> None:
    first, second = refusals.Forbidden("First."), refusals.NotFound("User", "user_1", "ownerId")

    errors = user_errors(Refusals([first, second]))

    assert [(type(error), error.message) for error in errors] == [
        (shown.Forbidden, "First."),
        (shown.NotFound, "No User with id user_1."),
    ]
