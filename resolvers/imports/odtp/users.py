"""Importing users and their digital twins from an ODTP database."""

import documents
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import plain
from resolvers.imports.odtp.collection_import import Build, Import, stored
from resolvers.imports.odtp.source_row import DEPRECATED, Refused, SourceRow


async def import_users(at: Import) -> None:
    """Import the users, including hidden ones: their twins would have no owner without them."""
    await at.take_all(documents.User, "users", _users)


async def import_twins(at: Import) -> None:
    """Import the twins. Hidden ones become private, with the status `deprecated`."""
    await at.take_all(documents.DigitalTwin, "digitalTwins", _twins)


async def _users(rows: list[SourceRow]) -> Build:
    return _user


def _user(row: SourceRow) -> documents.User:
    if row.deprecated:
        row.note("It is deprecated in ODTP; users cannot be hidden here.")
    return documents.User(
        id=row.id("user"),
        display_name=row.named(f"user {row.hex}", "displayName", "github"),
        email=row.text("email"),
        github=row.text("github"),
        **row.times(),
    )


async def _twins(rows: list[SourceRow]) -> Build:
    owners = await stored(documents.User, (id for row in rows if (id := row.reference("user", "userRef"))), "_id")

    def twin(row: SourceRow) -> documents.DigitalTwin:
        return documents.DigitalTwin(
            id=row.id("twin"),
            owner_ref=known(row, "user", owners, "userRef"),
            name=row.named(f"twin {row.hex}", "name"),
            status=_status(row),
            public=_public(row),
            **row.times(),
        )

    return twin


def known(row: SourceRow, kind: str, here: dict[str, dict[str, object]], *names: str) -> str:
    """The id that a row refers to. Raises Refused when the reference is missing, or its target is not here."""
    id = row.reference(kind, *names)
    if id is None:
        raise Refused(f"Its {names[0]} refers to nothing.")
    if id not in here:
        noun = "version" if kind == documents.ComponentVersion.kind else kind
        raise Refused(f"Its {names[0]} refers to the {noun} {id.partition('_')[2]}, which is not here.")
    return id


def _status(row: SourceRow) -> str:
    return DEPRECATED if row.deprecated else row.text("status") or "active"


def _public(row: SourceRow) -> bool:
    """Whether a twin is public: only when it says so, and is not hidden."""
    written = row.values.get("public")
    public = written is True
    if not isinstance(written, bool):
        row.note(f"public is {preview(plain(written))}; taken as private.")
    if row.deprecated:
        row.note(f"It is deprecated in ODTP; taken with the status {DEPRECATED}{', and private' if public else ''}.")
    return public and not row.deprecated
