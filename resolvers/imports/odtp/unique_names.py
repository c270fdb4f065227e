"""Names that are unique here but not in ODTP: a number is appended to repeated ones."""

from dataclasses import dataclass
from typing import Any

import documents
from resolvers.imports.odtp.source_row import SourceRow
from resolvers.reads.rows import collection_of


@dataclass(frozen=True)
class UniqueField:
    """The attribute that holds a name, and the one within whose value it is unique; None if it is unique everywhere."""

    name: str
    scope: str | None


UNIQUE_FIELDS: dict[type[documents.Document], UniqueField] = {
    documents.User: UniqueField("display_name", None),
    documents.DigitalTwin: UniqueField("name", "owner_ref"),
    documents.ComponentVersion: UniqueField("version", "component_ref"),
    documents.Execution: UniqueField("title", "digital_twin_ref"),
    documents.Workflow: UniqueField("name", "owner_ref"),
}

Key = tuple[str | None, str]
"""The scope and the name in it."""


class UniqueNames:
    """Makes names unique, among each other and among the stored ones."""

    def __init__(self) -> None:
        # The next number of each name, so that its thousandth occurrence is fast.
        self._numbers: dict[tuple[str, Key], int] = {}

    async def make_unique(
        self, document: type[documents.Document], built: list[tuple[SourceRow, documents.Document]]
    ) -> None:
        """Give each document a name that is not taken, and note on its row if that is another one."""
        unique = UNIQUE_FIELDS.get(document)
        if unique is None or not built:
            return
        taken = await _stored_keys(document, unique, [_key(unique, new) for _, new in built])
        for row, new in built:
            scope, name = key = _key(unique, new)
            if key in taken:
                free = await self._free_name(document, unique, key, taken)
                row.note(f"{_stored_name(document, unique.name)} {name!r} is taken; called {free!r}.")
                setattr(new, unique.name, free)
                key = (scope, free)
            taken.add(key)

    async def _free_name(
        self, document: type[documents.Document], unique: UniqueField, key: Key, taken: set[Key]
    ) -> str:
        scope, name = key
        number = self._numbers.get((document.kind, key), 1)
        while True:
            number += 1
            candidate = f"{name} ({number})"
            candidate_key = (scope, candidate)
            if candidate_key not in taken and not await _stored_keys(document, unique, [candidate_key]):
                self._numbers[document.kind, key] = number
                return candidate


def unique_field(document: type[documents.Document]) -> str | None:
    """The stored name of the field that holds a unique name; None if there is no such field."""
    unique = UNIQUE_FIELDS.get(document)
    return _stored_name(document, unique.name) if unique else None


def _key(unique: UniqueField, new: documents.Document) -> Key:
    return (getattr(new, unique.scope) if unique.scope else None), getattr(new, unique.name)


async def _stored_keys(document: type[documents.Document], unique: UniqueField, keys: list[Key]) -> set[Key]:
    """The keys among `keys` that stored documents have."""
    name = _stored_name(document, unique.name)
    scope = _stored_name(document, unique.scope) if unique.scope else None
    conditions: list[dict[str, Any]] = [
        {name: value} | ({scope: scope_value} if scope else {}) for scope_value, value in dict.fromkeys(keys)
    ]
    cursor = collection_of(document).find({"$or": conditions}, [name, *([scope] if scope else [])])
    return {(row[scope] if scope else None, row[name]) async for row in cursor}


def _stored_name(document: type[documents.Document], attribute: str) -> str:
    return document.model_fields[attribute].alias or attribute
