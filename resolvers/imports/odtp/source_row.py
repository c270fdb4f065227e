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

KNOWN: dict[str, frozenset[str]] = {
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
"""Fields that are read of each collection, or implied by others. Any other field is reported as left out."""

DEPRECATED = "deprecated"
"""The status of twins and components that ODTP has hidden."""
STEP_FAILED = "ODTP_STEP_FAILED"
"""The code of the error of a step that failed in ODTP."""

SHARED = frozenset({"_id", "created_at", "createdAt", "updated_at", "updatedAt", "deprecated"})


class Refused(Exception):
    """A row that cannot be imported; the message says why."""


class SourceRow:
    """One row of `collection`. Its methods return converted values, and note what did not fit."""

    def __init__(self, collection: str, values: dict[str, Any]) -> None:
        self.collection, self.values = collection, values
        self.hex = hex_of(values.get("_id"))
        self.notes: list[str] = []

    @property
    def shown_id(self) -> str:
        """The id as a report names it."""
        return self.hex or str(self.values.get("_id"))

    @property
    def deprecated(self) -> bool:
        """Whether ODTP has hidden the row, which is how it deletes."""
        return self.values.get("deprecated") is True

    def id(self, kind: str) -> str:
        """The row's id here. Raises Refused when its own is not an ObjectId."""
        if self.hex is None:
            raise Refused(f"Its id {self.shown_id!r} is not an ObjectId.")
        return f"{kind}_{self.hex}"

    def note(self, message: str) -> None:
        """Note a change."""
        self.notes.append(message)

    def left_out(self) -> list[str]:
        """The names of fields that have a value and no equivalent here."""
        known = KNOWN["outputs" if self.collection == "output" else self.collection] | SHARED
        return [
            name for name, value in self.values.items() if name not in known and value not in (None, False, "", [], {})
        ]

    def text(self, *names: str) -> str | None:
        """The first of these fields with a text that is not blank."""
        for name in names:
            value = self.values.get(name)
            if value is not None and not isinstance(value, str):
                value = preview(plain(value))
                self.note(f"{name} is not a text; read as {value}.")
            if value and (text := storable_text(value)):
                return text
        return None

    def required(self, *names: str) -> str:
        """The first of these fields with a text that is not blank. Raises Refused when there is none."""
        text = self.text(*names)
        if text is None:
            raise Refused(f"It has no {names[0]}.")
        return text

    def named(self, otherwise: str, *names: str) -> str:
        """The text in these fields, or a substitute, which is noted."""
        text = self.text(*names)
        if text is None:
            self.note(f"It has no {names[0]}; called {preview(otherwise)}.")
        name = text or otherwise
        if len(name) > MAX_NAME_LENGTH:
            self.note(f"{names[0]} has {len(name):,} characters; cut to {MAX_NAME_LENGTH:,}.")
        return cut_name(name)

    def reference(self, kind: str, *names: str) -> str | None:
        """The id in the first of these fields with a reference, in either form."""
        found = (hex_of(self.values.get(name)) for name in names)
        return next((f"{kind}_{one}" for one in found if one), None)

    def time(self, *names: str) -> datetime | None:
        """The first of these fields with a valid time."""
        for name in names:
            value = self.values.get(name)
            if at := time_of(value):
                return at
            if value is not None and value != "":
                self.note(f"{name} is {preview(plain(value))}, which is not a time; left out.")
        return None

    def made_at(self, *names: str) -> datetime:
        """The creation time of the row; the time in its id when it has none."""
        made = self.time("created_at", "createdAt", *names)
        return made or utc_milliseconds(ObjectId(self.hex).generation_time if self.hex else datetime.now(UTC))

    def times(self) -> dict[str, datetime]:
        """The creation time of the row, and the time of its last change."""
        made = self.made_at()
        return {"created_at": made, "updated_at": self.time("updated_at", "updatedAt") or made}

    def member(self, name: str, members: type[Member], otherwise: Member) -> Member:
        """A field with one of a fixed set of values."""
        value = self.values.get(name)
        try:
            return members(str(value).strip().lower())
        except ValueError:
            if value is not None:
                self.note(f"{name} is {preview(plain(value))}; read as {otherwise}.")
            return otherwise

    def tags(self) -> list[str]:
        """The tags, each once."""
        tags = self.items("tags")
        texts = (storable_text(one if isinstance(one, str) else preview(plain(one))) for one in tags if one is not None)
        return list(dict.fromkeys(text for text in texts if text))

    def items(self, name: str) -> list[Any]:
        """A field with a list. A single value is a list of one, null an empty one."""
        value = self.values.get(name)
        if value is None or value == "":
            return []
        return value if isinstance(value, list) else [value]

    def json(self, name: str) -> str | None:
        """A field as JSON, None when it is missing or null."""
        value = self.values.get(name)
        return None if value is None else json_text(value)
