"""Access rights in rows of ODTP, read even when the rest of a row is invalid."""

from typing import Any

import documents
from resolvers.imports.odtp.bson_values import hex_of
from resolvers.imports.odtp.source_row import SourceRow


def rights(document: type[documents.Document], row: SourceRow) -> dict[str, Any]:
    """The rights in a row, by stored name; empty for rows without rights of their own."""
    if document is documents.DigitalTwin:
        return {"public": row.values.get("public") is True and not row.deprecated}
    if document is documents.Output:
        users = [f"user_{hex}" for one in allowed(row) if (hex := hex_of(one))]
        return {"access_control": {"public": is_public_output(row), "authorized_users": users}}
    return {}


def is_public_output(row: SourceRow) -> bool:
    """Whether an output is readable by everybody."""
    return _control(row).get("public") is True


def allowed(row: SourceRow) -> list[Any]:
    """The readers that an output names, without the nulls that stand for nobody."""
    named = _control(row).get("authorized_users")
    return [one for one in (named if isinstance(named, list) else [named]) if one not in (None, "")]


def _control(row: SourceRow) -> dict[str, Any]:
    control = row.values.get("access_control")
    return control if isinstance(control, dict) else {}
