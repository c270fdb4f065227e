"""Importing users and their digital twins from an ODTP database."""

import documents
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import plain
from resolvers.imports.odtp.collection_import import Build, ImportRun, stored_rows
from resolvers.imports.odtp.source_row import DEPRECATED, RowError, SourceRow


async def import_users(run: ImportRun) -> None:
    """Import the users, including hidden ones: without them, their twins would have no owner."""
    await run.import_collection(documents.User, "users", _users)


async def import_twins(run: ImportRun) -> None:
    """Import the twins. Hidden ones become private, with the status `deprecated`."""
    await run.import_collection(documents.DigitalTwin, "digitalTwins", _twins)


async def _users(rows: list[SourceRow]) -> Build:
    return _user


def _user(row: SourceRow) -> documents.User:
    if row.is_deprecated:
        row.note("It is deprecated in ODTP; users cannot be hidden here.")
    return documents.User(
        id=row.id("user"),
        display_name=row.name(f"user {row.hex}", "displayName", "github"),
        email=row.text("email"),
        github=row.text("github"),
        **row.timestamps(),
    )


async def _twins(rows: list[SourceRow]) -> Build:
    owners = await stored_rows(documents.User, (id for row in rows if (id := row.reference("user", "userRef"))), "_id")

    def twin(row: SourceRow) -> documents.DigitalTwin:
        return documents.DigitalTwin(
            id=row.id("twin"),
            owner_ref=resolve_reference(row, "user", owners, "userRef"),
            name=row.name(f"twin {row.hex}", "name"),
            status=_status(row),
            public=_public(row),
            **row.timestamps(),
        )

    return twin


def resolve_reference(row: SourceRow, kind: str, here: dict[str, dict[str, object]], *names: str) -> str:
    """The id that a row refers to. Raises RowError if the reference is missing or its target is not here."""
    id = row.reference(kind, *names)
    if id is None:
        raise RowError(f"Its {names[0]} refers to nothing.")
    if id not in here:
        noun = "version" if kind == documents.ComponentVersion.kind else kind
        raise RowError(f"Its {names[0]} refers to the {noun} {id.partition('_')[2]}, which is not here.")
    return id


def _status(row: SourceRow) -> str:
    return DEPRECATED if row.is_deprecated else row.text("status") or "active"


def _public(row: SourceRow) -> bool:
    """Whether a twin is public: only if its row says so, and it is not hidden."""
    written = row.values.get("public")
    public = written is True
    if not isinstance(written, bool):
        row.note(f"public is {preview(plain(written))}; taken as private.")
    if row.is_deprecated:
        row.note(f"It is deprecated in ODTP; taken with the status {DEPRECATED}{', and private' if public else ''}.")
    return public and not row.is_deprecated
