"""Access rights in rows of ODTP, which can be read even if the rest of a row is invalid."""

from typing import Any

import documents
from resolvers.imports.odtp.bson_values import hex_of
from resolvers.imports.odtp.source_row import SourceRow


def access_rights(document: type[documents.Document], row: SourceRow) -> dict[str, Any]:
    """The access rights in a row, by stored field name; empty for documents without rights of their own."""
    if document is documents.DigitalTwin:
        return {"public": row.values.get("public") is True and not row.is_deprecated}
    if document is documents.Output:
        users = [f"user_{hex}" for reader in reader_references(row) if (hex := hex_of(reader))]
        return {"access_control": {"public": is_public_output(row), "authorized_users": users}}
    return {}


def is_public_output(row: SourceRow) -> bool:
    """Whether everybody may read an output."""
    return _access_control(row).get("public") is True


def reader_references(row: SourceRow) -> list[Any]:
    """The references to an output's readers, without the nulls and empty texts that stand for nobody."""
    value = _access_control(row).get("authorized_users")
    references = value if isinstance(value, list) else [value]
    return [reference for reference in references if reference not in (None, "")]


def _access_control(row: SourceRow) -> dict[str, Any]:
    control = row.values.get("access_control")
    return control if isinstance(control, dict) else {}
