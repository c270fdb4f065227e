"""Many documents of one kind, each exactly as the server would have stored it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from beanie.odm.utils.dump import get_dict

from documents import Document
from tests.bench.numbered_ids import numbered_id

Row = dict[str, Any]

BEGAN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Level:
    """So many documents like one, which its model has encoded; each differs from it in what `own` gives.

    Documents are known by their number, so the parent of `n` is `n // each` where every parent has `each` children.
    """

    like: Document
    count: int
    own: Callable[[int], Row]

    @property
    def collection(self) -> str:
        """The collection that stores the documents."""
        return str(self.like.get_collection_name())

    def rows(self) -> Iterator[Row]:
        """The documents as they are stored."""
        stored: Row = get_dict(self.like, to_db=True)
        kind = type(self.like)
        for number in range(self.count):
            yield stored | {"_id": id_of(kind, number)} | self.own(number)


def id_of(kind: type[Document], number: int) -> str:
    """The id of a document of this kind."""
    return numbered_id(kind.kind, number)


def at(number: int) -> datetime:
    """A time of its own for each number."""
    return BEGAN + timedelta(milliseconds=977 * number)


def made_at(number: int) -> Row:
    """The times of a document that was not changed since its creation."""
    return {"created_at": at(number), "updated_at": at(number)}
