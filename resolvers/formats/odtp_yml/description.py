"""Parser for odtp.yml, a component's description of itself, in the format of schema v0.5 or the one before it.

The formats are those of `odtp/helpers/models.py` and of the manual (`docs/components/odtp-yml.md`) of odtp-org. Few
real files follow either exactly, so everything that can be understood is accepted, and every change is noted.
"""

import json
from dataclasses import dataclass
from typing import Any

from documents.twins.component import ComponentType
from resolvers.formats.json_text import MAX_NAME_LENGTH, cut_name
from resolvers.formats.odtp_yml.adjustments import Adjustment, Adjustments, items, json_value, plain_text, preview
from resolvers.formats.odtp_yml.metadata import as_metadata
from resolvers.formats.odtp_yml.parameters import Parameter, parameters
from resolvers.formats.odtp_yml.ports import Port, ports
from resolvers.formats.odtp_yml.secrets import secret_names, without_secret_values
from resolvers.formats.slugs import web_address
from resolvers.user_errors import InvalidInput

NOUN = "odtp.yml"
MAX_BYTES = 256_000

KNOWN_KEYS = frozenset({
    "build-args", "component-author", "component-authors", "component-description", "component-docker-image",
    "component-license", "component-name", "component-repository", "component-title", "component-type",
    "component-version", "data-inputs", "data-output", "data-outputs", "devices", "parameters", "ports",
    "schema-input", "schema-output", "schema-version", "secrets", "tags", "tools",
})  # fmt: skip


@dataclass(frozen=True)
class ComponentDescription:
    """A component as its odtp.yml describes it.

    `metadata` is the whole file as JSON, without the values of secrets. `typed_metadata` has the numbers that YAML 1.1
    reads in place of texts such as 0.10, as earlier databases have them.
    """

    component_name: str
    component_version: str | None
    title: str | None
    author: str | None
    type: ComponentType
    description: str | None
    tags: list[str]
    docker_image: str | None
    repository: str | None
    license: str | None
    parameters: list[Parameter]
    ports: list[Port]
    secrets: list[str]
    metadata: str
    typed_metadata: str
    adjustments: list[Adjustment]


def read_odtp_yml(text: str) -> ComponentDescription:
    """Parse a component's description. Raises InvalidInput if it is malformed, nameless or larger than 256 kB."""
    # Only those who register components need the parser.
    from resolvers.formats.yaml_text import read_mapping

    file = read_mapping(text, noun=NOUN, max_bytes=MAX_BYTES)
    notes = Adjustments()
    if file.has_tabs:
        notes.note(f"The {NOUN} has tabs where YAML allows none; each is read as four spaces.")
    for path in file.repeated_keys:
        notes.note(f"{path[-1]} is given more than once; the last value is kept.", *path)
    return _Reader(file.values, notes).description()


class _Reader:
    """Reads one file, and notes its adjustments."""

    def __init__(self, values: dict[str, Any], notes: Adjustments) -> None:
        self._values, self._notes = values, notes

    def description(self) -> ComponentDescription:
        self._check_is_component()
        name = self._name()
        self._note_unknown_parts()
        values = without_secret_values(self._values)
        return ComponentDescription(
            component_name=name,
            component_version=self._version(),
            title=self._text("component-title"),
            author=self._author(),
            type=self._type(),
            description=self._text("component-description"),
            tags=self._tags(),
            docker_image=self._text("component-docker-image"),
            repository=self._repository(),
            license=self._text("component-license"),
            parameters=parameters(self._values.get("parameters"), self._notes),
            ports=ports(self._values.get("ports"), self._notes),
            secrets=secret_names(self._values.get("secrets"), self._notes),
            metadata=json.dumps(as_metadata(values), ensure_ascii=False),
            typed_metadata=json.dumps(json_value(values), ensure_ascii=False),
            adjustments=self._notes.list,
        )

    def _text(self, key: str) -> str | None:
        return plain_text(self._values.get(key), self._notes, key)

    def _check_is_component(self) -> None:
        if "steps" in self._values or self._values.get("component-type") == "execution":
            raise InvalidInput(f"This {NOUN} describes an execution and its steps, not a component.", "steps")

    def _name(self) -> str:
        if not (name := self._text("component-name")):
            written = self._values.get("component-name")
            problem = f"is {preview(written)}" if written is not None else "is missing"
            raise InvalidInput(f"The {NOUN}'s component-name {problem}; a component needs a name.", "component-name")
        if len(name) > MAX_NAME_LENGTH:
            self._notes.note(
                f"component-name has {len(name):,} characters; cut to {MAX_NAME_LENGTH:,}.", "component-name"
            )
        return cut_name(name)

    def _note_unknown_parts(self) -> None:
        if self._text("schema-version") is None:
            self._notes.note("schema-version is missing; read as the form before v0.5.", "schema-version")
        if isinstance(devices := self._values.get("devices"), dict):
            entries = [{"type": type, "required": required} for type, required in devices.items()]
            self._notes.note(f"devices is the mapping {preview(devices)}; understood as {preview(entries)}.", "devices")
        for key in sorted(self._values.keys() - KNOWN_KEYS):
            self._notes.note(f"{key} is not a key of an {NOUN}; kept in the metadata only.", key)

    def _version(self) -> str | None:
        version = self._text("component-version")
        if version is None:
            self._notes.note("component-version is missing.", "component-version")
        return version

    def _author(self) -> str | None:
        authors = self._values.get("component-authors")
        if authors is None:
            if author := self._text("component-author"):
                message = f"component-author is one text, {preview(author)}; component-authors is a list since v0.5."
                self._notes.note(message, "component-author")
            return author
        if isinstance(authors, str):
            self._notes.note(
                f"component-authors is {preview(authors)}, not a list; read as a list of one.", "component-authors"
            )
            authors = [{"name": authors}]
        entries = items(authors, self._notes, "component-authors")
        names = [
            plain_text(entry.get("name"), self._notes, "component-authors", place, "name") for place, entry in entries
        ]
        return ", ".join(name for name in names if name) or None

    def _type(self) -> ComponentType:
        written = self._values.get("component-type")
        try:
            kind = ComponentType(str(written).strip().lower())
        except ValueError:
            problem = (
                f"is {preview(written)}, none of {', '.join(ComponentType)}" if written is not None else "is missing"
            )
            self._notes.note(f"component-type {problem}; read as ephemeral.", "component-type")
            return ComponentType.EPHEMERAL
        if kind != written:
            self._notes.note(f"component-type is {preview(written)}; read as {kind}.", "component-type")
        return kind

    def _tags(self) -> list[str]:
        tags = self._values.get("tags")
        if tags is None:
            return []
        if isinstance(tags, str):
            self._notes.note(f"tags is {preview(tags)}, not a list; split at its commas.", "tags")
            tags = tags.split(",")
        elif not isinstance(tags, list):
            self._notes.note(f"tags is {preview(tags)}, not a list; left out.", "tags")
            return []
        texts = [plain_text(tag, self._notes, "tags", str(place)) for place, tag in enumerate(tags)]
        return list(dict.fromkeys(tag for tag in texts if tag))

    def _repository(self) -> str | None:
        written = self._values.get("component-repository")
        if isinstance(written, dict):
            repository = plain_text(written.get("url"), self._notes, "component-repository", "url")
        else:
            repository = self._text("component-repository")
            if repository:
                message = f"component-repository is {preview(repository)}; a mapping with url and doi since v0.5."
                self._notes.note(message, "component-repository")
        if repository is None:
            self._notes.note("component-repository has no url.", "component-repository")
        elif web_address(repository) is None and not repository.startswith(("git@", "ssh://", "git://")):
            self._notes.note(
                f"component-repository {preview(repository)} is not an address; left out.", "component-repository"
            )
            return None
        return repository
