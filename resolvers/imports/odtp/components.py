"""Importing components and their versions from an ODTP database."""

import dataclasses
from functools import partial
from typing import Any

from pymongo import UpdateOne

import documents
from documents.mongo.transaction import Session, in_transaction
from documents.twins.component import ComponentType
from documents.twins.component_version import ParameterDefinition, PortDefinition
from resolvers.formats.odtp_yml.adjustments import Adjustments
from resolvers.formats.odtp_yml.parameters import parameters
from resolvers.formats.odtp_yml.ports import ports
from resolvers.formats.odtp_yml.secrets import secret_names, without_secret_values
from resolvers.imports.odtp.bson_values import hex_of, json_text, plain
from resolvers.imports.odtp.collection_import import Build, Import, stored
from resolvers.imports.odtp.source_row import DEPRECATED, Refused, SourceRow
from resolvers.reads.rows import collection_of
from resolvers.twins.component import check_repository, latest_version_ref
from resolvers.twins.register_component import kept_parameter
from resolvers.user_errors import InvalidInput
from resolvers.writes.store import update

DESCRIBING = (
    "odtp_version", "type", "license", "tools", "parameters", "ports", "secrets", "devices", "data-inputs",
    "data-outputs", "data-output", "build-args", "schema-input", "schema-output",
)  # fmt: skip
"""Fields that a version's row repeats from the component's odtp.yml, kept together as its metadata."""


async def import_components(at: Import) -> None:
    """Import the components. One whose repository exists here already is merged with that."""
    await at.expect("components")
    async for rows in at.batches("components"):
        apart = await _apart(at, rows)
        await at.take(documents.Component, apart, _components)
        at.advance("components", len(rows))


async def _apart(at: Import, rows: list[SourceRow]) -> list[SourceRow]:
    """The rows whose repository no other component has; the others are recorded under the id of that one."""
    links = [_repository(row) for row in rows]
    cursor = collection_of(documents.Component).find({"repoLink": {"$in": [link for link in links if link]}})
    holders = {held["repoLink"]: held["_id"] async for held in cursor}
    apart = []
    for row, link in zip(rows, links, strict=True):
        id = f"component_{row.hex}"
        holder = holders.setdefault(link, id) if link and row.hex else id
        if holder == id:
            apart.append(row)
        else:
            at.merged[id] = holder
            at.summary.already["components"] += 1
            reason = f"Its repoLink is that of {holder}; its versions are imported as versions of that one."
            at.summary.adjust("components", row.shown_id, [reason])
    return apart


def _repository(row: SourceRow) -> str | None:
    """The URL of a component's repository, None when it is missing or invalid."""
    link = row.values.get("repoLink")
    try:
        return check_repository(link, "repoLink") if isinstance(link, str) else None
    except InvalidInput:
        return None


async def _components(rows: list[SourceRow]) -> Build:
    return _component


def _component(row: SourceRow) -> documents.Component:
    repository = check_repository(row.required("repoLink"), "repoLink")
    if row.deprecated:
        row.note(f"It is deprecated in ODTP; taken with the status {DEPRECATED}.")
    return documents.Component(
        id=row.id("component"),
        component_name=row.named(repository.rpartition("/")[2], "componentName"),
        title=row.text("title"),
        author=row.text("author"),
        repo_link=repository,
        type=row.member("type", ComponentType, ComponentType.EPHEMERAL),
        status=DEPRECATED if row.deprecated else row.text("status") or "active",
        description=row.text("description"),
        tags=row.tags(),
        **row.times(),
    )


async def import_versions(at: Import) -> None:
    """Import the versions of components, then set each component's latest version."""

    async def prepare(rows: list[SourceRow]) -> Build:
        ids = [_component_id(at, row) for row in rows]
        components = await stored(documents.Component, (id for id in ids if id), "_id")
        return lambda row: _version(row, _known_component(_component_id(at, row), components))

    await at.take_all(documents.ComponentVersion, "versions", prepare)
    async for rows in at.batches("components", fields=["_id"]):
        ids = [f"component_{row.hex}" for row in rows]
        await _name_latest([at.merged.get(id, id) for id in ids])


def _component_id(at: Import, row: SourceRow) -> str | None:
    """The component of a version: `componentId`, or the one in the copy of the component's facts beside it."""
    copies = [copy for name in ("component", "Component") if isinstance(copy := row.values.get(name), dict)]
    named = [
        row.values.get("componentId"),
        *(copy.get(key) for copy in copies for key in ("componentId", "ComponentId")),
    ]
    found = next((hex for value in named if (hex := hex_of(value))), None)
    return at.merged.get(f"component_{found}", f"component_{found}") if found else None


def _known_component(id: str | None, components: dict[str, dict[str, Any]]) -> str:
    if id is None:
        raise Refused("Its componentId refers to nothing.")
    if id not in components:
        raise Refused(f"Its componentId refers to the component {id.partition('_')[2]}, which is not here.")
    return id


def _version(row: SourceRow, component_id: str) -> documents.ComponentVersion:
    notes = Adjustments()
    version = documents.ComponentVersion(
        id=row.id("release"),
        component_ref=component_id,
        # The seed names both; ODTP itself keeps only the tag, as component_version.
        version=row.required("version", "component_version"),
        component_version=row.text("component_version"),
        commit_hash=row.required("commitHash"),
        docker_hub_link=row.text("dockerHubLink", "imageLink"),
        title=row.text("title"),
        description=row.text("description"),
        tags=row.tags(),
        parameters=_parameters(row, notes),
        ports=_ports(row, notes),
        secrets=secret_names(plain(row.values.get("secrets")) or None, notes),
        metadata=_metadata(row),
        is_deprecated=row.deprecated,
        **row.times(),
    )
    for made in notes.list:
        row.note(made.message)
    return version


def _parameters(row: SourceRow, notes: Adjustments) -> list[ParameterDefinition]:
    written = plain(row.values.get("parameters")) or None
    if isinstance(written, dict):
        # The older form gives a default value for each name.
        written = {name: one if isinstance(one, dict) else _definition(one) for name, one in written.items()}
    return [kept_parameter(one) for one in parameters(written, notes)]


def _definition(value: object) -> dict[str, object]:
    datatype = {bool: "boolean", int: "integer", float: "float"}.get(type(value), "string")
    return {"datatype": datatype, "default-value": value}


def _ports(row: SourceRow, notes: Adjustments) -> list[PortDefinition]:
    found = ports(plain(row.values.get("ports")) or None, notes)
    return [PortDefinition.model_validate(dataclasses.asdict(port)) for port in found]


def _metadata(row: SourceRow) -> str | None:
    """The description of the component at this version, without values of secrets."""
    said = {name: plain(row.values[name]) for name in DESCRIBING if row.values.get(name) is not None}
    return json_text(without_secret_values(said)) if said else None


async def _name_latest(components: list[str]) -> None:
    """Set each component's latest version to its newest one that is not deprecated."""
    here = await stored(documents.Component, components, "latestVersionRef")
    pipeline: list[dict[str, Any]] = [
        {"$match": {"componentId": {"$in": components}, "deprecated": False}},
        {"$sort": {"created_at": 1, "_id": 1}},
        {"$group": {"_id": "$componentId", "latest": {"$last": "$_id"}}},
    ]
    cursor = await collection_of(documents.ComponentVersion).aggregate(pipeline)
    latest = {found["_id"]: found["latest"] async for found in cursor}
    first = [
        UpdateOne({"_id": id, "latestVersionRef": None}, {"$set": {"latestVersionRef": latest[id]}})
        for id, component in here.items()
        if component.get("latestVersionRef") is None and id in latest
    ]
    if first:
        await collection_of(documents.Component).bulk_write(first, ordered=False)
    for id, component in here.items():
        if component.get("latestVersionRef") not in (None, latest.get(id)):
            await in_transaction(partial(_move_latest, id))


async def _move_latest(component_id: str, session: Session) -> None:
    component = await collection_of(documents.Component).find_one({"_id": component_id}, session=session)
    if component is not None:
        latest = {"latestVersionRef": await latest_version_ref(component_id, session)}
        await update(documents.Component, component, latest, None, session)
