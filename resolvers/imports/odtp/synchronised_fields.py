"""The synchronised fields of each kind of document, and the rules for fields that both sides have changed."""

import re
from dataclasses import dataclass, field
from typing import Any

import documents
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import plain
from resolvers.imports.odtp.source_row import DEPRECATED
from resolvers.imports.odtp.unique_names import unique_field

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
"""Other fields, references and values that never change in ODTP, stay as they were imported first."""


@dataclass
class Merge:
    """The changes to write here, in words as well, and in words the differences from ODTP that are kept."""

    changes: Row = field(default_factory=dict)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def synchronised_fields(document: type[documents.Document], row: Row) -> Row:
    """The synchronised fields of a stored row, by name."""
    return {name: row.get(name) for aspect in ASPECTS.get(document, ()) for name in aspect}


def merge(
    document: type[documents.Document], *, before: Row | None, here: Row, there: Row, changed_here: bool
) -> Merge:
    """The changes to a document that was imported as `before` and may have changed on both sides since.

    Changes made only in ODTP are applied. If both sides have changed, the values here are kept, except for rights,
    which never become wider than either side allows. If the imported values are unknown, `changed_here` decides.
    """
    outcome = Merge()
    for aspect in ASPECTS.get(document, ()):
        ours, theirs = _select(here, aspect), _select(there, aspect)
        if _are_equal(document, ours, theirs):
            continue
        # Earlier releases may have recorded fewer fields.
        base = _select(before, aspect) if before is not None and before.keys() >= {*aspect} else None
        is_changed_here = changed_here if base is None else not _are_equal(document, ours, base)
        is_changed_there = base != theirs or (before is not None and _is_hidden_since(aspect, before, there))
        result = theirs if is_changed_there else ours
        if is_changed_here and is_changed_there:
            result = _narrower(aspect, base, ours, theirs)
        _record(outcome, ours, theirs, result)
    return outcome


def _select(row: Row, aspect: Aspect) -> Row:
    return {name: row.get(name) for name in aspect}


def _is_hidden_since(aspect: Aspect, before: Row, there: Row) -> bool:
    """Whether ODTP has hidden a twin since the last import. Before, it may have been private there and public here."""
    return aspect == ("public",) and there.get("status") == DEPRECATED != before.get("status")


def _are_equal(document: type[documents.Document], ours: Row, theirs: Row) -> bool:
    """Whether both sides have the same values, apart from a number appended to a name that was taken here."""
    unique = unique_field(document)
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


def revocations(before: Row | None, here: Row, rights: Row) -> Row:
    """The changes that revoke the rights here which a row of ODTP no longer grants."""
    changes: Row = {}
    for name, theirs in rights.items():
        base = None if before is None or name not in before else {name: before[name]}
        if base != {name: theirs}:
            result = _narrower((name,), base, {name: here[name]}, {name: theirs})
            changes |= {name: value for name, value in result.items() if value != here[name]}
    return changes


def _narrower_access(base: Row | None, ours: Row, theirs: Row) -> Row:
    """The access to an output: as granted here, without the readers that ODTP has removed since."""
    before = (base["access_control"] or {}) if base else ours
    revoked = set(_users(before)) - set(_users(theirs))
    hidden = before.get("public") and not theirs["public"]
    users = [user for user in _users(ours) if user not in revoked]
    return {"public": bool(ours.get("public") and not hidden), "authorized_users": users}


def _users(access: Row) -> list[str]:
    return access.get("authorized_users") or []


def _record(outcome: Merge, ours: Row, theirs: Row, result: Row) -> None:
    outcome.changes |= {name: value for name, value in result.items() if value != ours[name]}
    for name, value in result.items():
        if value != ours[name]:
            like = "as" if value == theirs[name] else "narrower, as"
            outcome.updated.append(f"{name} was {_preview(ours[name])}; it is {_preview(value)} now, {like} in ODTP.")
        if value != theirs[name]:
            here, there = _preview(value), _preview(theirs[name])
            outcome.kept.append(f"{name} is {here} here and {there} in ODTP; kept, because it was changed here.")


def _preview(value: object) -> str:
    return preview(plain(value))
