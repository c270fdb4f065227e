"""Reading one row of an ODTP database, with a note of every change."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from bson import ObjectId

from documents.base import utc_milliseconds
from resolvers.formats.json_text import MAX_NAME_LENGTH, cut_name, storable_text
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import hex_of, json_text, plain, time_of

Member = TypeVar("Member", bound=StrEnum)

IMPORTED_FIELDS: dict[str, frozenset[str]] = {
    "users": frozenset({"displayName", "email", "github", "digitalTwins"}),
    "digitalTwins": frozenset({"name", "status", "public", "userRef", "executions"}),
    "components": frozenset({
        "author", "componentName", "repoLink", "status", "title", "type", "description", "tags", "versions",
    }),
    "versions": frozenset({
        "componentId", "component", "Component", "version", "component_version", "odtp_version", "commitHash",
        "dockerHubLink", "imageLink", "parameters", "ports", "secrets", "title", "description", "type", "tags", "tools",
        "license", "devices", "data-inputs", "data-outputs", "data-output", "build-args", "schema-input",
        "schema-output",
    }),
    "executions": frozenset({
        "title", "description", "tags", "dt_id", "digitalTwinRef", "workflow_id", "workflowSchema", "start_timestamp",
        "end_timestamp", "steps",
    }),
    "steps": frozenset({
        "timestamp", "start_timestamp", "end_timestamp", "type", "logs", "inputs", "component_version", "parameters",
        "ports", "run_step", "executionRef", "error", "msg", "output",
    }),
    "outputs": frozenset({
        "stepRef", "output_type", "s3_bucket", "s3_key", "file_name", "file_size", "file_type", "metadata",
        "access_control",
    }),
    "results": frozenset({"executionRef", "digitalTwinRef", "output", "title", "description", "tags"}),
    "workflows": frozenset({"name", "versions", "tags"}),
}  # fmt: skip
"""Fields of each collection that are imported or follow from others. Any other field is reported as left out."""

DEPRECATED = "deprecated"
"""The status of twins and components that ODTP has hidden."""
STEP_FAILED = "ODTP_STEP_FAILED"
"""The code of the error of a step that failed in ODTP."""

SHARED_FIELDS = frozenset({"_id", "created_at", "createdAt", "updated_at", "updatedAt", "deprecated"})


class RowError(Exception):
    """The row cannot be imported; the message says why."""


class SourceRow:
    """One row of `collection`. Its methods return converted values, and note those that had to be changed."""

    def __init__(self, collection: str, values: dict[str, Any]) -> None:
        self.collection, self.values = collection, values
        self.hex = hex_of(values.get("_id"))
        self.notes: list[str] = []

    @property
    def display_id(self) -> str:
        """The id for reports, also of rows without a valid one."""
        return self.hex or str(self.values.get("_id"))

    @property
    def is_deprecated(self) -> bool:
        """Whether ODTP has hidden the row: it never deletes any."""
        return self.values.get("deprecated") is True

    def id(self, kind: str) -> str:
        """The id of the row's document. Raises RowError if the row's id is not an ObjectId."""
        if self.hex is None:
            raise RowError(f"Its id {self.display_id!r} is not an ObjectId.")
        return f"{kind}_{self.hex}"

    def note(self, message: str) -> None:
        """Note a change of a value."""
        self.notes.append(message)

    def unsupported_fields(self) -> list[str]:
        """The names of fields with a value but no equivalent here."""
        supported = IMPORTED_FIELDS["outputs" if self.collection == "output" else self.collection] | SHARED_FIELDS
        return [
            name
            for name, value in self.values.items()
            if name not in supported and value not in (None, False, "", [], {})
        ]

    def text(self, *names: str) -> str | None:
        """The non-blank text of the first of these fields that has one; None if none has."""
        for name in names:
            value = self.values.get(name)
            if value is not None and not isinstance(value, str):
                value = preview(plain(value))
                self.note(f"{name} is not a text; read as {value}.")
            if value and (text := storable_text(value)):
                return text
        return None

    def required_text(self, *names: str) -> str:
        """The non-blank text of the first of these fields that has one. Raises RowError if none has."""
        text = self.text(*names)
        if text is None:
            raise RowError(f"It has no {names[0]}.")
        return text

    def name(self, substitute: str, *names: str) -> str:
        """The text of the first of these fields that has one, else a substitute, which is noted."""
        text = self.text(*names)
        if text is None:
            self.note(f"It has no {names[0]}; called {preview(substitute)}.")
        name = text or substitute
        if len(name) > MAX_NAME_LENGTH:
            self.note(f"{names[0]} has {len(name):,} characters; cut to {MAX_NAME_LENGTH:,}.")
        return cut_name(name)

    def reference(self, kind: str, *names: str) -> str | None:
        """The id that the first of these fields with a reference refers to; None if there is none."""
        hexes = (hex_of(self.values.get(name)) for name in names)
        return next((f"{kind}_{hex}" for hex in hexes if hex), None)

    def time(self, *names: str) -> datetime | None:
        """The time in the first of these fields that has one; None if none has."""
        for name in names:
            value = self.values.get(name)
            if at := time_of(value):
                return at
            if value is not None and value != "":
                self.note(f"{name} is {preview(plain(value))}, which is not a time; left out.")
        return None

    def creation_time(self, *names: str) -> datetime:
        """The creation time of the row, else the time in its ObjectId."""
        time = self.time("created_at", "createdAt", *names)
        return time or utc_milliseconds(ObjectId(self.hex).generation_time if self.hex else datetime.now(UTC))

    def timestamps(self) -> dict[str, datetime]:
        """The creation time of the row, and the time of its last change."""
        created = self.creation_time()
        return {"created_at": created, "updated_at": self.time("updated_at", "updatedAt") or created}

    def enum_member(self, name: str, members: type[Member], default: Member) -> Member:
        """The member of an enum that a field names, else the default, which is noted."""
        value = self.values.get(name)
        try:
            return members(str(value).strip().lower())
        except ValueError:
            if value is not None:
                self.note(f"{name} is {preview(plain(value))}; read as {default}.")
            return default

    def tags(self) -> list[str]:
        """The distinct tags, in their order."""
        tags = self.items("tags")
        texts = (storable_text(tag if isinstance(tag, str) else preview(plain(tag))) for tag in tags if tag is not None)
        return list(dict.fromkeys(text for text in texts if text))

    def items(self, name: str) -> list[Any]:
        """The list in a field. A single value is a list of one; null and an empty text are empty lists."""
        value = self.values.get(name)
        if value is None or value == "":
            return []
        return value if isinstance(value, list) else [value]

    def json(self, name: str) -> str | None:
        """The value of a field as JSON; None if it is missing or null."""
        value = self.values.get(name)
        return None if value is None else json_text(value)
