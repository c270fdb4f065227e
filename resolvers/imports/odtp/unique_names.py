"""Names that are unique here but not in ODTP: later ones get a number appended."""

from dataclasses import dataclass
from typing import Any

import documents
from resolvers.imports.odtp.source_row import SourceRow
from resolvers.reads.rows import collection_of


@dataclass(frozen=True)
class Unique:
    """The attribute that holds a name, and the one within whose value it is unique; None if it is unique globally."""

    name: str
    scope: str | None


UNIQUE: dict[type[documents.Document], Unique] = {
    documents.User: Unique("display_name", None),
    documents.DigitalTwin: Unique("name", "owner_ref"),
    documents.ComponentVersion: Unique("version", "component_ref"),
    documents.Execution: Unique("title", "digital_twin_ref"),
    documents.Workflow: Unique("name", "owner_ref"),
}

Key = tuple[str | None, str]
"""The scope and the name in it."""


class Names:
    """Makes names unique, among each other and among stored ones."""

    def __init__(self) -> None:
        # The next number of each name, so that its thousandth occurrence is fast.
        self._numbers: dict[tuple[str, Key], int] = {}

    async def make_unique(
        self, document: type[documents.Document], made: list[tuple[SourceRow, documents.Document]]
    ) -> None:
        """Give each document a free name, and note on its row when that differs."""
        unique = UNIQUE.get(document)
        if unique is None or not made:
            return
        used = await _used(document, unique, [_key(unique, one) for _, one in made])
        for row, one in made:
            scope, name = key = _key(unique, one)
            if key in used:
                free = await self._free(document, unique, key, used)
                row.note(f"{_stored(document, unique.name)} {name!r} is taken; called {free!r}.")
                setattr(one, unique.name, free)
                key = (scope, free)
            used.add(key)

    async def _free(self, document: type[documents.Document], unique: Unique, key: Key, used: set[Key]) -> str:
        scope, name = key
        number = self._numbers.get((document.kind, key), 1)
        while True:
            number += 1
            candidate = f"{name} ({number})"
            wanted = (scope, candidate)
            if wanted not in used and not await _used(document, unique, [wanted]):
                self._numbers[document.kind, key] = number
                return candidate


def stored_unique(document: type[documents.Document]) -> str | None:
    """The stored name of the field that holds a unique name, None when there is none."""
    unique = UNIQUE.get(document)
    return _stored(document, unique.name) if unique else None


def _key(unique: Unique, one: documents.Document) -> Key:
    return (getattr(one, unique.scope) if unique.scope else None), getattr(one, unique.name)


async def _used(document: type[documents.Document], unique: Unique, keys: list[Key]) -> set[Key]:
    """The keys that stored documents use already."""
    name = _stored(document, unique.name)
    scope = _stored(document, unique.scope) if unique.scope else None
    either: list[dict[str, Any]] = [
        {name: one} | ({scope: within} if scope else {}) for within, one in dict.fromkeys(keys)
    ]
    cursor = collection_of(document).find({"$or": either}, [name, *([scope] if scope else [])])
    return {(row[scope] if scope else None, row[name]) async for row in cursor}


def _stored(document: type[documents.Document], attribute: str) -> str:
    return document.model_fields[attribute].alias or attribute
