"""Transforms and steps whose code has moved on."""

from datetime import timedelta
from typing import Any

import pytest

import documents
from documents.activities.activity import CodeReference
from documents.base import now
from documents.catalogue.resource import CodeRepo, SourceFile
from resolvers.access.viewer import ANONYMOUS
from resolvers.provenance.staleness.causes import Cause, StalenessCauseKind
from resolvers.provenance.staleness.newer_code import STEP_FIELDS, TRANSFORM_FIELDS, step_causes, transform_causes
from tests.conftest import RoundTrips
from tests.resolvers.provenance.staleness.rows import rows_of
from tests.support.builders import a_component, a_component_version, a_step, a_twin, a_user, an_execution, keep

pytestmark = pytest.mark.usefixtures("database")

OLD, NEW = "a1" * 20, "b2" * 20


def newer(used: str, latest: str) -> Cause:
    return Cause(StalenessCauseKind.NEWER_CODE, used, latest)


def a_transform(resource: documents.Resource, **commits: str) -> documents.Transform:
    """A transform that ran these files, named without their suffix."""
    code = [CodeReference(repository="", path=f"{name}.py", commit=commit) for name, commit in commits.items()]
    return documents.Transform(resource_ref=resource.id, code=code)


async def test_a_transform_is_compared_with_the_files_that_its_resource_lists_now(round_trips: RoundTrips) -> None:
    source = [SourceFile(path=f"{name}.py", commit=NEW) for name in ("main", "tidy")]
    resource = documents.Resource(organisation_ref="organisation_1", code_repo=CodeRepo(source=source))
    without_code = documents.Resource(organisation_ref="organisation_1")
    transforms = [
        a_transform(resource, main=NEW, tidy=NEW[:7]),
        a_transform(resource, main=OLD, tidy=OLD, gone=OLD),
        a_transform(resource, gone=OLD),
        a_transform(without_code, main=OLD),
        a_transform(resource),
    ]
    await keep(resource, without_code, *transforms)
    rows = await rows_of(transforms, TRANSFORM_FIELDS)

    with round_trips.counting() as seen:
        causes = await transform_causes(rows, ANONYMOUS)

    assert [causes.by_id[one.id] for one in transforms] == [[], [newer(OLD, NEW)], [], [], []]
    assert causes.unknown == {one.id for one in transforms[2:]}
    assert seen == [("find", "resources")]


async def test_a_step_is_compared_with_the_latest_version_of_its_component(round_trips: RoundTrips) -> None:
    component, alone = a_component(), a_component()
    at = now()

    def a_version(
        n: int, commit: str, of: documents.Component = component, **fields: Any
    ) -> documents.ComponentVersion:
        fields = {"version": f"v{n}", "commit_hash": commit, "created_at": at + timedelta(seconds=n), **fields}
        return a_component_version(of, **fields)

    first, same, latest = a_version(1, OLD), a_version(2, NEW[:8]), a_version(3, NEW)
    deprecated, withdrawn = a_version(4, OLD, is_deprecated=True), a_version(5, OLD, alone, is_deprecated=True)
    component.latest_version_ref = latest.id
    execution = an_execution(a_twin(a_user()))
    versions = [first, same, latest, deprecated, withdrawn]
    steps = [a_step(execution, ordinal=n, component_version_ref=one.id) for n, one in enumerate(versions)]
    of_none = a_step(execution, ordinal=9)
    await keep(component, alone, *versions, *steps, of_none)
    rows = await rows_of([*steps, of_none], STEP_FIELDS)

    with round_trips.counting() as seen:
        causes = await step_causes(rows, ANONYMOUS)

    assert [causes.by_id[one.id] for one in steps] == [
        [newer(OLD, NEW)],
        [],
        [],
        [Cause(StalenessCauseKind.WITHDRAWN, "v4", "v3")],
        [Cause(StalenessCauseKind.WITHDRAWN, "v5", None)],
    ]
    assert causes.unknown == {of_none.id}
    assert seen == [("find", "versions"), ("find", "components")]
