"""Newer code: files of transforms that are at other commits now, and later versions of components."""

from collections.abc import Iterable
from datetime import datetime

import documents
from resolvers.access.viewer import Viewer
from resolvers.provenance.staleness.causes import Cause, Causes, StalenessCauseKind
from resolvers.reads import lookups
from resolvers.reads.order import value_at
from resolvers.reads.rows import Row

TRANSFORM_FIELDS = frozenset({"resourceRef", "code"})
STEP_FIELDS = frozenset({"component_version", "code"})
VERSION_FIELDS = frozenset({"componentId", "version", "commitHash", "deprecated", "created_at"})


async def transform_causes(transforms: list[Row], viewer: Viewer) -> Causes:
    """The files of each transform that are at another commit in its resource's code now. One round trip.

    Nobody can tell of a transform none of whose files the resource lists any more.
    """
    ids = {transform["resourceRef"] for transform in transforms}
    resources = await lookups.by_ids(documents.Resource, ids, frozenset({"code_repo.source"}), viewer)
    causes = Causes()
    for transform in transforms:
        source = value_at(resources.get(transform["resourceRef"], {}), "code_repo.source") or []
        now = {file["path"]: file["commit"] for file in source}
        listed = [code for code in transform.get("code") or [] if code.get("path") in now]
        causes.add(transform["_id"], _newer_commits((code["commit"], now[code["path"]]) for code in listed))
        if not listed:
            causes.unknown.add(transform["_id"])
    return causes


async def step_causes(steps: list[Row], viewer: Viewer) -> Causes:
    """The later version of each step's component, if it has another commit, and the withdrawal of the step's version.

    Three round trips: for the versions, their components, and the latest versions of these.
    """
    versions = await _versions({step["component_version"] for step in steps}, viewer)
    ids = {version["componentId"] for version in versions.values()}
    components = await lookups.by_ids(documents.Component, ids, frozenset({"latestVersionRef"}), viewer)
    latest_ids = {id: row["latestVersionRef"] for id, row in components.items() if row.get("latestVersionRef")}
    latest = versions | await _versions(set(latest_ids.values()) - versions.keys(), viewer)
    causes = Causes()
    for step in steps:
        version = versions.get(step["component_version"])
        if version is None:
            causes.unknown.add(step["_id"])
        else:
            newest = latest.get(latest_ids.get(version["componentId"], ""))
            causes.add(step["_id"], _version_causes(version, newest))
    return causes


async def _versions(ids: set[str], viewer: Viewer) -> dict[str, Row]:
    return await lookups.by_ids(documents.ComponentVersion, ids, VERSION_FIELDS, viewer)


def _version_causes(version: Row, latest: Row | None) -> Iterable[Cause]:
    """How a component has moved on from a version, given the latest one that is not deprecated."""
    if latest is not None and _age(latest) > _age(version):
        yield from _newer_commits([(version["commitHash"], latest["commitHash"])])
    if version.get("deprecated"):
        yield Cause(StalenessCauseKind.WITHDRAWN, version["version"], latest["version"] if latest else None)


def _age(version: Row) -> tuple[datetime, str]:
    return version["created_at"], version["_id"]


def _newer_commits(pairs: Iterable[tuple[str, str]]) -> Iterable[Cause]:
    """A cause for each commit that was used where there is another one now. Either may be abbreviated."""
    for used, latest in pairs:
        if not (used.startswith(latest) or latest.startswith(used)):
            yield Cause(StalenessCauseKind.NEWER_CODE, used, latest)
