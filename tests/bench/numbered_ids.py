"""Ids of documents that are known by their number. Imports nothing: clients that only ask should start quickly."""


def numbered_id(kind: str, number: int) -> str:
    """An id as the server makes them: the kind, and the 24 digits of an ObjectId. Later documents have larger ones."""
    return f"{kind}_66f0a1b2c3d4e5f6{number:08x}"
