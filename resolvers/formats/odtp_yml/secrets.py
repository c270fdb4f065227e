"""The secrets that a component needs: their names, never a value."""

from typing import Any

from resolvers.formats.odtp_yml.adjustments import Adjustments, items, plain_text

DESCRIBING_KEYS = frozenset({"name", "description", "type", "datatype", "required", "allow-custom-value", "step"})
"""Keys that describe a secret. Any other key may hold its value."""


def secret_names(value: object, notes: Adjustments) -> list[str]:
    """The distinct names of the secrets. A note says that there are values beside them, without quoting them."""
    if value is not None and not isinstance(value, list | dict):
        notes.note("secrets is neither a list nor a mapping; left out.", "secrets")
        return []
    names: dict[str, None] = {}
    for place, entry in items(value, notes, "secrets"):
        if name := plain_text(entry.get("name"), notes, "secrets", place, "name"):
            names[name] = None
        else:
            notes.note(f"Secret {place} has no name; left out.", "secrets", place)
        if any(member is not None for key, member in entry.items() if key not in DESCRIBING_KEYS):
            notes.note(f"Values given with secret {name or place} may reveal it and are not stored.", "secrets", place)
    return list(names)


def without_secret_values(values: dict[str, Any]) -> dict[str, Any]:
    """The whole file without anything that may be the value of a secret: such values are never stored."""
    secrets = values.get("secrets")
    if isinstance(secrets, dict):
        return values | {"secrets": {name: _without_value(secret) for name, secret in secrets.items()}}
    if isinstance(secrets, list):
        return values | {
            "secrets": [secret if isinstance(secret, str) else _without_value(secret) for secret in secrets]
        }
    return values if secrets is None else values | {"secrets": None}


def _without_value(secret: object) -> dict[str, Any] | None:
    if not isinstance(secret, dict):
        return None
    return {key: member if key in DESCRIBING_KEYS else None for key, member in secret.items()}
