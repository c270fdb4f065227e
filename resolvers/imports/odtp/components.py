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
from resolvers.imports.odtp.collection_import import Build, ImportRun, stored_rows
from resolvers.imports.odtp.source_row import DEPRECATED, RowError, SourceRow
from resolvers.reads.rows import collection_of
from resolvers.twins.component import latest_version_ref, normalise_repository_url
from resolvers.twins.register_component import parameter_definition
from resolvers.user_errors import InvalidInput
from resolvers.writes.store import update

DESCRIBING = (
    "odtp_version", "type", "license", "tools", "parameters", "ports", "secrets", "devices", "data-inputs",
    "data-outputs", "data-output", "build-args", "schema-input", "schema-output",
)  # fmt: skip
"""Fields that a version's row repeats from the component's odtp.yml; they become its metadata."""


async def import_components(run: ImportRun) -> None:
    """Import the components. One whose repository a component here has already is merged with that component."""
    await run.start_progress("components")
    async for rows in run.batches("components"):
        separate = await _rows_with_own_repository(run, rows)
        await run.import_rows(documents.Component, separate, _components)
        run.advance("components", len(rows))


async def _rows_with_own_repository(run: ImportRun, rows: list[SourceRow]) -> list[SourceRow]:
    """The rows whose repository no other component has; the others are recorded as merged with that one."""
    links = [_repository(row) for row in rows]
    cursor = collection_of(documents.Component).find({"repoLink": {"$in": [link for link in links if link]}})
    holders = {component["repoLink"]: component["_id"] async for component in cursor}
    separate = []
    for row, link in zip(rows, links, strict=True):
        id = f"component_{row.hex}"
        holder = holders.setdefault(link, id) if link and row.hex else id
        if holder == id:
            separate.append(row)
        else:
            run.merged[id] = holder
            run.summary.already["components"] += 1
            reason = f"Its repoLink is that of {holder}; its versions are imported as versions of that one."
            run.summary.adjust("components", row.display_id, [reason])
    return separate


def _repository(row: SourceRow) -> str | None:
    """The URL of a component's repository; None if it is missing or invalid."""
    link = row.values.get("repoLink")
    try:
        return normalise_repository_url(link, "repoLink") if isinstance(link, str) else None
    except InvalidInput:
        return None


async def _components(rows: list[SourceRow]) -> Build:
    return _component


def _component(row: SourceRow) -> documents.Component:
    repository = normalise_repository_url(row.required_text("repoLink"), "repoLink")
    if row.is_deprecated:
        row.note(f"It is deprecated in ODTP; taken with the status {DEPRECATED}.")
    return documents.Component(
        id=row.id("component"),
        component_name=row.name(repository.rpartition("/")[2], "componentName"),
        title=row.text("title"),
        author=row.text("author"),
        repo_link=repository,
        type=row.enum_member("type", ComponentType, ComponentType.EPHEMERAL),
        status=DEPRECATED if row.is_deprecated else row.text("status") or "active",
        description=row.text("description"),
        tags=row.tags(),
        **row.timestamps(),
    )


async def import_versions(run: ImportRun) -> None:
    """Import the versions of components, then set each component's latest version."""

    async def prepare(rows: list[SourceRow]) -> Build:
        ids = [_component_id(run, row) for row in rows]
        components = await stored_rows(documents.Component, (id for id in ids if id), "_id")
        return lambda row: _version(row, _existing_component(_component_id(run, row), components))

    await run.import_collection(documents.ComponentVersion, "versions", prepare)
    async for rows in run.batches("components", fields=["_id"]):
        ids = [f"component_{row.hex}" for row in rows]
        await _set_latest_versions([run.merged.get(id, id) for id in ids])


def _component_id(run: ImportRun, row: SourceRow) -> str | None:
    """The id of a version's component: `componentId`, else the id in the embedded copy of the component."""
    copies = [copy for name in ("component", "Component") if isinstance(copy := row.values.get(name), dict)]
    values = [
        row.values.get("componentId"),
        *(copy.get(key) for copy in copies for key in ("componentId", "ComponentId")),
    ]
    component = next((hex for value in values if (hex := hex_of(value))), None)
    return run.merged.get(f"component_{component}", f"component_{component}") if component else None


def _existing_component(id: str | None, components: dict[str, dict[str, Any]]) -> str:
    if id is None:
        raise RowError("Its componentId refers to nothing.")
    if id not in components:
        raise RowError(f"Its componentId refers to the component {id.partition('_')[2]}, which is not here.")
    return id


def _version(row: SourceRow, component_id: str) -> documents.ComponentVersion:
    notes = Adjustments()
    version = documents.ComponentVersion(
        id=row.id("release"),
        component_ref=component_id,
        # ODTP's seed data has both fields; ODTP itself stores only the tag, as component_version.
        version=row.required_text("version", "component_version"),
        component_version=row.text("component_version"),
        commit_hash=row.required_text("commitHash"),
        docker_hub_link=row.text("dockerHubLink", "imageLink"),
        title=row.text("title"),
        description=row.text("description"),
        tags=row.tags(),
        parameters=_parameters(row, notes),
        ports=_ports(row, notes),
        secrets=secret_names(plain(row.values.get("secrets")) or None, notes),
        metadata=_metadata(row),
        is_deprecated=row.is_deprecated,
        **row.timestamps(),
    )
    for adjustment in notes.list:
        row.note(adjustment.message)
    return version


def _parameters(row: SourceRow, notes: Adjustments) -> list[ParameterDefinition]:
    written = plain(row.values.get("parameters")) or None
    if isinstance(written, dict):
        # The older format is a mapping of names to default values.
        written = {
            name: definition if isinstance(definition, dict) else _definition_of_default(definition)
            for name, definition in written.items()
        }
    return [parameter_definition(definition) for definition in parameters(written, notes)]


def _definition_of_default(value: object) -> dict[str, object]:
    datatype = {bool: "boolean", int: "integer", float: "float"}.get(type(value), "string")
    return {"datatype": datatype, "default-value": value}


def _ports(row: SourceRow, notes: Adjustments) -> list[PortDefinition]:
    entries = ports(plain(row.values.get("ports")) or None, notes)
    return [PortDefinition.model_validate(dataclasses.asdict(port)) for port in entries]


def _metadata(row: SourceRow) -> str | None:
    """The description of the component at this version, without values of secrets."""
    facts = {name: plain(row.values[name]) for name in DESCRIBING if row.values.get(name) is not None}
    return json_text(without_secret_values(facts)) if facts else None


async def _set_latest_versions(components: list[str]) -> None:
    """Set each component's latest version to its newest one that is not deprecated."""
    stored = await stored_rows(documents.Component, components, "latestVersionRef")
    pipeline: list[dict[str, Any]] = [
        {"$match": {"componentId": {"$in": components}, "deprecated": False}},
        {"$sort": {"created_at": 1, "_id": 1}},
        {"$group": {"_id": "$componentId", "latest": {"$last": "$_id"}}},
    ]
    cursor = await collection_of(documents.ComponentVersion).aggregate(pipeline)
    latest = {group["_id"]: group["latest"] async for group in cursor}
    updates = [
        UpdateOne({"_id": id, "latestVersionRef": None}, {"$set": {"latestVersionRef": latest[id]}})
        for id, component in stored.items()
        if component.get("latestVersionRef") is None and id in latest
    ]
    if updates:
        await collection_of(documents.Component).bulk_write(updates, ordered=False)
    for id, component in stored.items():
        if component.get("latestVersionRef") not in (None, latest.get(id)):
            await in_transaction(partial(_update_latest_version, id))


async def _update_latest_version(component_id: str, session: Session) -> None:
    component = await collection_of(documents.Component).find_one({"_id": component_id}, session=session)
    if component is not None:
        latest = {"latestVersionRef": await latest_version_ref(component_id, session)}
        await update(documents.Component, component, latest, None, session)
