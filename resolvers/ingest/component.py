"""Ingesting a version of a component from its odtp.yml."""

import asyncio
import dataclasses
import json
from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.component_version import ParameterDefinition, PortDefinition
from resolvers.checks import a_commit, a_line
from resolvers.component import a_repository, described_by
from resolvers.fetch import Row, collection_of
from resolvers.ingest.odtp_parameters import Parameter
from resolvers.ingest.odtp_yml import ComponentDescription, read_odtp_yml
from resolvers.refusals import AlreadyExists, Refusal
from resolvers.viewer import Role, Viewer
from resolvers.writing import Again, Outcome, Session, insert, require, update


async def ingest_component(
    session: Session, viewer: Viewer, *, repo_link: str, commit_hash: str, version: str, odtp_yml: str
) -> Outcome:
    """A version of the component at a repository, both made where they are new.

    The same version with the same commit and description again answers with what is there; with another commit or
    description it raises AlreadyExists. Raises InvalidInput when the file is no description of a component.
    """
    require(viewer, Role.WORKER)
    link = a_repository(repo_link, "repoLink")
    commit = a_commit(commit_hash, "commitHash")
    label = a_line(version, "version")
    description = await _read(odtp_yml)
    try:
        component, release = await _recorded(session, link, commit, label, description)
    except DuplicateKeyError as error:
        raise Again from error
    adjustments = [dataclasses.asdict(adjustment) for adjustment in description.adjustments]
    return {"component": component, "component_version": release, "adjustments": adjustments}


async def _read(text: str) -> ComponentDescription:
    try:
        # A large file takes a while to parse, in which others are to be answered.
        return await asyncio.to_thread(read_odtp_yml, text)
    except Refusal as refusal:
        refusal.path = ("odtpYml", *refusal.path)
        raise


async def _recorded(
    session: Session, link: str, commit: str, label: str, description: ComponentDescription
) -> tuple[Row, Row]:
    """The component and the version, as they are now."""
    component = await collection_of(documents.Component).find_one({"repoLink": link}, session=session)
    if component is None:
        return await _first_version(session, link, commit, label, description)
    key = {"componentId": component["_id"], "version": label}
    earlier = await collection_of(documents.ComponentVersion).find_one(key, session=session)
    if earlier is not None:
        return component, _the_same(earlier, commit, description)
    release = _version(component["_id"], commit, label, description)
    changes = described_by(description) | {"latestVersionRef": release.id}
    return await update(documents.Component, component, changes, None, session), await insert(release, session)


async def _first_version(
    session: Session, link: str, commit: str, label: str, description: ComponentDescription
) -> tuple[Row, Row]:
    component = documents.Component.model_validate(described_by(description) | {"repoLink": link})
    release = _version(component.id, commit, label, description)
    component.latest_version_ref = release.id
    return await insert(component, session), await insert(release, session)


def _the_same(earlier: Row, commit: str, description: ComponentDescription) -> Row:
    if earlier["commitHash"] != commit:
        raise AlreadyExists(
            f"Version {earlier['version']} exists already, at commit {earlier['commitHash']}.", "version"
        )
    if earlier.get("metadata") != description.metadata:
        raise AlreadyExists(f"Version {earlier['version']} exists already, with another odtp.yml.", "odtpYml")
    return earlier


def _version(
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
        parameters=[kept_parameter(one) for one in description.parameters],
        ports=[PortDefinition.model_validate(dataclasses.asdict(port)) for port in description.ports],
        secrets=description.secrets,
        metadata=description.metadata,
    )


def kept_parameter(parameter: Parameter) -> ParameterDefinition:
    """A parameter with its values as JSON texts."""
    kept: dict[str, Any] = dataclasses.asdict(parameter)
    default, options = kept.pop("default_value"), kept.pop("options")
    return ParameterDefinition(
        default_value=None if default is None else json.dumps(default, ensure_ascii=False),
        options=None if options is None else [json.dumps(option, ensure_ascii=False) for option in options],
        **kept,
    )
