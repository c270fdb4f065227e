"""Components and their versions, out of an ODTP database."""

import dataclasses
from typing import Any

from pymongo import UpdateOne

import documents
from documents.component import ComponentType
from documents.component_version import ParameterDefinition, PortDefinition
from resolvers.component import a_repository
from resolvers.fetch import collection_of
from resolvers.ingest.component import kept_parameter
from resolvers.ingest.odtp_fields import Adjustments
from resolvers.ingest.odtp_parameters import parameters
from resolvers.ingest.odtp_people import DEPRECATED
from resolvers.ingest.odtp_ports import ports
from resolvers.ingest.odtp_rows import Refused, SourceRow
from resolvers.ingest.odtp_secrets import secret_names, without_secret_values
from resolvers.ingest.odtp_stage import Build, Import, stored
from resolvers.ingest.odtp_values import hex_of, json_text, plain
from resolvers.refusals import InvalidInput

DESCRIBING = (
    "odtp_version", "type", "license", "tools", "parameters", "ports", "secrets", "devices", "data-inputs",
    "data-outputs", "data-output", "build-args", "schema-input", "schema-output",
)  # fmt: skip
"""What a version's row repeats of the component's odtp.yml: kept together as its metadata."""


async def import_components(at: Import) -> None:
    """Take the components. One whose repository is here already is merged with what is here."""
    await at.expect("components")
    async for rows in at.batches("components"):
        apart = await _apart(at, rows)
        await at.take(documents.Component, apart, _components)
        at.advance("components", len(rows))


async def _apart(at: Import, rows: list[SourceRow]) -> list[SourceRow]:
    """The rows whose repository no other component has; the others are remembered under the id of that one."""
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
            reason = f"Its repoLink is that of {holder}; its versions are taken as versions of that one."
            at.summary.adjust("components", row.shown_id, [reason])
    return apart


def _repository(row: SourceRow) -> str | None:
    """The URL of a component's repository, None when it has none or another thing stands there."""
    link = row.values.get("repoLink")
    try:
        return a_repository(link, "repoLink") if isinstance(link, str) else None
    except InvalidInput:
        return None


async def _components(rows: list[SourceRow]) -> Build:
    return _component


def _component(row: SourceRow) -> documents.Component:
    repository = a_repository(row.required("repoLink"), "repoLink")
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
    """Take the versions of components, then let each component that knows no latest version name it."""

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
    for made in notes.made:
        row.note(made.message)
    return version


def _parameters(row: SourceRow, notes: Adjustments) -> list[ParameterDefinition]:
    written = plain(row.values.get("parameters")) or None
    if isinstance(written, dict):
        # The older form gives each name its default value.
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
    pipeline: list[dict[str, Any]] = [
        {"$match": {"componentId": {"$in": components}, "deprecated": False}},
        {"$sort": {"created_at": 1, "_id": 1}},
        {"$group": {"_id": "$componentId", "latest": {"$last": "$_id"}}},
    ]
    cursor = await collection_of(documents.ComponentVersion).aggregate(pipeline)
    named = [
        UpdateOne({"_id": found["_id"], "latestVersionRef": None}, {"$set": {"latestVersionRef": found["latest"]}})
        async for found in cursor
    ]
    if named:
        await collection_of(documents.Component).bulk_write(named, ordered=False)
