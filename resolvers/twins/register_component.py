"""Registering a version of a component from its odtp.yml."""

import asyncio
import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from documents.twins.component_version import ParameterDefinition, PortDefinition
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.formats.odtp_yml.adjustments import Adjustment, preview
from resolvers.formats.odtp_yml.description import ComponentDescription, read_odtp_yml
from resolvers.formats.odtp_yml.parameters import Parameter
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.component import description_fields, normalise_repository_url
from resolvers.user_errors import AlreadyExists, Refusal
from resolvers.validators import check_commit, check_line
from resolvers.writes.store import insert, update
from resolvers.writes.transaction import Outcome, RetryTransaction


async def ingest_component(
    session: Session, viewer: Viewer, *, repo_link: str, commit_hash: str, version: str, odtp_yml: str
) -> Outcome:
    """Record a version of the component at a repository, and the component where it is new; returns both.

    Repeating a version with the same commit and description returns the existing one; with another commit or
    description it raises AlreadyExists. Raises InvalidInput when the file is no description of a component. Where the
    file names another version or repository, the caller's are used, and the adjustments say so.
    """
    require_role(viewer, Role.WORKER)
    link = normalise_repository_url(repo_link, "repoLink")
    commit = check_commit(commit_hash, "commitHash")
    label = check_line(version, "version")
    description = await _read(odtp_yml)
    try:
        component, release = await _store(session, link, commit, label, description)
    except DuplicateKeyError as error:
        raise RetryTransaction from error
    notes = [*_differences_from_call(description, link, label), *description.adjustments]
    adjustments = [dataclasses.asdict(adjustment) for adjustment in notes]
    return {"component": component, "component_version": release, "adjustments": adjustments}


async def _read(text: str) -> ComponentDescription:
    try:
        # In a thread, because parsing a large file takes a while.
        return await asyncio.to_thread(read_odtp_yml, text)
    except Refusal as refusal:
        refusal.path = ("odtpYml", *refusal.path)
        raise


def _differences_from_call(description: ComponentDescription, link: str, label: str) -> Iterator[Adjustment]:
    """An adjustment for each of version and repository where the file differs from the caller."""
    file_version = description.component_version
    if file_version is not None and _version_number(file_version) != _version_number(label):
        message = (
            f"component-version is {preview(file_version)}; ingested as version {preview(label)}, as the call says."
        )
        yield Adjustment(["component-version"], message)
    repository = description.repository
    if repository is not None and _host_and_path(repository) != _host_and_path(link):
        message = f"component-repository is {preview(repository)}; ingested as of {preview(link)}, as the call says."
        yield Adjustment(["component-repository"], message)


def _version_number(version: str) -> str:
    """A version without the `v` or `v.` that tags begin with."""
    return re.sub(r"\Av\.?(?=[0-9])", "", version.strip(), flags=re.IGNORECASE)


def _host_and_path(repository: str) -> str:
    """Host and path of a repository, equal for all schemes: `git@host:a/b.git` is `https://host/a/b`."""
    location = re.sub(r"\A(?:[a-z+]+://)?(?:[^@/]*@)?", "", repository.strip().lower())
    return location.replace(":", "/", 1).rstrip("/").removesuffix(".git")


async def _store(
    session: Session, link: str, commit: str, label: str, description: ComponentDescription
) -> tuple[Row, Row]:
    """Store the component and the version; returns both as they are now."""
    component = await collection_of(documents.Component).find_one({"repoLink": link}, session=session)
    if component is None:
        return await _first_version(session, link, commit, label, description)
    key = {"componentId": component["_id"], "version": label}
    earlier = await collection_of(documents.ComponentVersion).find_one(key, session=session)
    if earlier is not None:
        _check_same(earlier, commit, description)
        return component, earlier
    release = _new_version(component["_id"], commit, label, description)
    changes = description_fields(description) | {"latestVersionRef": release.id}
    return await update(documents.Component, component, changes, None, session), await insert(release, session)


async def _first_version(
    session: Session, link: str, commit: str, label: str, description: ComponentDescription
) -> tuple[Row, Row]:
    component = documents.Component.model_validate(description_fields(description) | {"repoLink": link})
    release = _new_version(component.id, commit, label, description)
    component.latest_version_ref = release.id
    return await insert(component, session), await insert(release, session)


def _check_same(earlier: Row, commit: str, description: ComponentDescription) -> None:
    """Raise AlreadyExists when the version was registered with another commit or description."""
    if earlier["commitHash"] != commit:
        raise AlreadyExists(
            f"Version {earlier['version']} exists already, at commit {earlier['commitHash']}.", "version"
        )
    if earlier.get("metadata") not in (description.metadata, description.typed_metadata):
        raise AlreadyExists(f"Version {earlier['version']} exists already, with another odtp.yml.", "odtpYml")


def _new_version(
    component_id: str, commit: str, label: str, description: ComponentDescription
) -> documents.ComponentVersion:
    return documents.ComponentVersion(
        component_ref=component_id,
        version=label,
        component_version=description.component_version,
        commit_hash=commit,
        docker_hub_link=description.docker_image,
        title=description.title,
        description=description.description,
        tags=description.tags,
        parameters=[parameter_definition(parameter) for parameter in description.parameters],
        ports=[PortDefinition.model_validate(dataclasses.asdict(port)) for port in description.ports],
        secrets=description.secrets,
        metadata=description.metadata,
    )


def parameter_definition(parameter: Parameter) -> ParameterDefinition:
    """The definition of a parameter, with its values as JSON texts."""
    fields: dict[str, Any] = dataclasses.asdict(parameter)
    default, options = fields.pop("default_value"), fields.pop("options")
    return ParameterDefinition(
        default_value=None if default is None else json.dumps(default, ensure_ascii=False),
        options=None if options is None else [json.dumps(option, ensure_ascii=False) for option in options],
        **fields,
    )
