"""The fields of each kind of document that are synchronised, and which side wins when both have changed."""

import re
from dataclasses import dataclass, field
from typing import Any

import documents
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import plain
from resolvers.imports.odtp.source_row import DEPRECATED
from resolvers.imports.odtp.unique_names import stored_unique

Row = dict[str, Any]
Aspect = tuple[str, ...]
"""Fields that change together, by stored name."""

RUN = ("status", "start_timestamp", "end_timestamp")
ASPECTS: dict[type[documents.Document], tuple[Aspect, ...]] = {
    documents.User: (("displayName",), ("email",), ("github",)),
    documents.DigitalTwin: (("userRef",), ("name",), ("status",), ("public",)),
    documents.Component: (
        ("componentName",),
        ("title",),
        ("author",),
        ("type",),
        ("status",),
        ("description",),
        ("tags",),
    ),
    documents.ComponentVersion: (("deprecated",),),
    documents.Execution: (("title",), ("description",), ("tags",), ("workflowSchema",), ("workflowRef",), RUN),
    documents.Step: (("type",), ("parameters",), ("ports",), ("inputs",), (*RUN, "error", "attempt")),
    documents.Output: (
        ("output_type",),
        ("file_name", "file_size", "file_type", "s3_bucket", "s3_key"),
        ("metadata",),
        ("access_control",),
    ),
    documents.Workflow: (("name",), ("tags",), ("steps", "component_versions")),
    documents.Result: (("title",), ("description",), ("tags",), ("output",)),
}
"""All other fields stay as they were first imported: references, and values that never change in ODTP."""


@dataclass
class Merge:
    """The changes to write here, their description, and the description of the kept differences from ODTP."""

    changes: Row = field(default_factory=dict)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def synchronised_fields(document: type[documents.Document], row: Row) -> Row:
    """The fields of a row that are synchronised, by stored name."""
    return {name: row.get(name) for aspect in ASPECTS.get(document, ()) for name in aspect}


def merge(
    document: type[documents.Document], *, before: Row | None, here: Row, there: Row, changed_here: bool
) -> Merge:
    """The changes to a document that was imported as `before` and may have changed on both sides since.

    Changes made only in ODTP are taken over. Where both sides have changed, the values here stay, except rights, which
    never become wider than either side allows. Where the imported values are unknown, `changed_here` decides.
    """
    found = Merge()
    for aspect in ASPECTS.get(document, ()):
        ours, theirs = _of(here, aspect), _of(there, aspect)
        if _alike(document, ours, theirs):
            continue
        # Earlier releases may have recorded fewer fields.
        base = _of(before, aspect) if before is not None and before.keys() >= {*aspect} else None
        moved_here = changed_here if base is None else not _alike(document, ours, base)
        moved_there = base != theirs or (before is not None and _hides(aspect, before, there))
        result = theirs if moved_there else ours
        if moved_here and moved_there:
            result = _narrower(aspect, base, ours, theirs)
        _note(found, ours, theirs, result)
    return found


def _of(row: Row, aspect: Aspect) -> Row:
    return {name: row.get(name) for name in aspect}


def _hides(aspect: Aspect, before: Row, there: Row) -> bool:
    """Whether ODTP has hidden a twin since. It may have been private there and published here before that."""
    return aspect == ("public",) and there.get("status") == DEPRECATED != before.get("status")


def _alike(document: type[documents.Document], ours: Row, theirs: Row) -> bool:
    """Whether both sides have the same value. A name that was taken here already has a number appended."""
    unique = stored_unique(document)
    if unique is None or unique not in ours or unique not in theirs:
        return ours == theirs
    numbered = rf"{re.escape(str(theirs[unique]))}( \([0-9]+\))?"
    return re.fullmatch(numbered, str(ours[unique])) is not None


def _narrower(aspect: Aspect, base: Row | None, ours: Row, theirs: Row) -> Row:
    """The narrower rights of both sides; other fields stay as they are here."""
    if aspect == ("public",):
        return {"public": bool(ours["public"] and theirs["public"])}
    if aspect == ("access_control",):
        return {"access_control": _narrower_access(base, ours["access_control"] or {}, theirs["access_control"])}
    return ours


def narrowed(before: Row | None, here: Row, rights: Row) -> Row:
    """The changes that revoke the rights here that a row of ODTP no longer grants."""
    changes: Row = {}
    for name, theirs in rights.items():
        base = None if before is None or name not in before else {name: before[name]}
        if base != {name: theirs}:
            result = _narrower((name,), base, {name: here[name]}, {name: theirs})
            changes |= {name: value for name, value in result.items() if value != here[name]}
    return changes


def _narrower_access(base: Row | None, ours: Row, theirs: Row) -> Row:
    """The readers of an output: those named here, without those whom ODTP has revoked since."""
    before = (base["access_control"] or {}) if base else ours
    taken_away = set(_users(before)) - set(_users(theirs))
    hidden = before.get("public") and not theirs["public"]
    users = [user for user in _users(ours) if user not in taken_away]
    return {"public": bool(ours.get("public") and not hidden), "authorized_users": users}


def _users(access: Row) -> list[str]:
    return access.get("authorized_users") or []


def _note(found: Merge, ours: Row, theirs: Row, result: Row) -> None:
    found.changes |= {name: value for name, value in result.items() if value != ours[name]}
    for name, value in result.items():
        if value != ours[name]:
            like = "as" if value == theirs[name] else "narrower, as"
            found.updated.append(f"{name} was {_shown(ours[name])}; it is {_shown(value)} now, {like} in ODTP.")
        if value != theirs[name]:
            here, there = _shown(value), _shown(theirs[name])
            found.kept.append(f"{name} is {here} here and {there} in ODTP; kept, because it was changed here.")


def _shown(value: object) -> str:
    return preview(plain(value))
