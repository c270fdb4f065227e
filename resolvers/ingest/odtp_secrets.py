"""The secrets that a component needs: their names, and never a value."""

from typing import Any

from resolvers.ingest.odtp_fields import Adjustments, items, plain_text

DESCRIBING_KEYS = frozenset({"name", "description", "type", "datatype", "required", "allow-custom-value", "step"})
"""What tells about a secret. Anything else that stands beside it may be its value."""


def secret_names(value: object, notes: Adjustments) -> list[str]:
    """The names of the secrets, each once. Values that stand beside them are noted, without being shown."""
    if value is not None and not isinstance(value, list | dict):
        notes.note("secrets is neither a list nor a mapping; left out.", "secrets")
        return []
    names: dict[str, None] = {}
    for place, entry in items(value, notes, "secrets"):
        if name := plain_text(entry.get("name"), notes, "secrets", place, "name"):
            names[name] = None
        else:
            notes.note(f"Secret {place} has no name; left out.", "secrets", place)
        if any(held is not None for key, held in entry.items() if key not in DESCRIBING_KEYS):
            notes.note(f"What stands beside secret {name or place} may be its value and is not kept.", "secrets", place)
    return list(names)


def without_secret_values(values: dict[str, Any]) -> dict[str, Any]:
    """The whole file, but for what may be the value of a secret: that is never stored."""
    secrets = values.get("secrets")
    if isinstance(secrets, dict):
        return values | {"secrets": {name: _described(held) for name, held in secrets.items()}}
    if isinstance(secrets, list):
        return values | {"secrets": [one if isinstance(one, str) else _described(one) for one in secrets]}
    return values if secrets is None else values | {"secrets": None}


def _described(secret: object) -> dict[str, Any] | None:
    if not isinstance(secret, dict):
        return None
    return {key: held if key in DESCRIBING_KEYS else None for key, held in secret.items()}
