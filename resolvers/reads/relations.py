"""Links between documents: the declarations from which views are made and reads are planned.

Paths are the stored ones; the values by which parents and children refer to each other are top-level fields. Each kind
of link costs one round trip for a whole level, however many parents there are.
"""

from dataclasses import dataclass

import documents
from resolvers.reads.order import BY_ID, Order
from resolvers.reads.page import MAX_PAGE_SIZE

Document = type[documents.Document]
BY_ID_ALONE = Order((BY_ID,))


@dataclass(frozen=True)
class One:
    """The document whose id is at `via` on the parent."""

    document: Document
    via: str


@dataclass(frozen=True)
class Listed:
    """The documents whose ids are listed at `via` on the parent, in that order."""

    document: Document
    via: str


@dataclass(frozen=True)
class Referring:
    """The documents that list the parent's id at `via`, in `order`: a list that the parent bounds."""

    document: Document
    via: str
    order: Order = BY_ID_ALONE


@dataclass(frozen=True)
class Picked:
    """The one child of the parent, which it references at `via`, that has the argument's value at `by`."""

    document: Document
    via: str
    by: str


@dataclass(frozen=True)
class Many:
    """Pages of the documents whose value at `via` is the parent's at `of`: its id, or the id of another document.

    `follows` says that everyone who sees the parent sees the children, so that their own policy is not applied;
    `alone`, that at most one of several parents has any.
    """

    document: Document
    via: str
    order: Order = BY_ID_ALONE
    most: int = MAX_PAGE_SIZE
    of: str = "_id"
    follows: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Gathered:
    """Pages of the documents whose ids are listed at `via` on the parent."""

    document: Document
    via: str
    order: Order = BY_ID_ALONE
    most: int = MAX_PAGE_SIZE


@dataclass(frozen=True)
class Every:
    """Pages of all documents of a kind."""

    document: Document
    order: Order = BY_ID_ALONE
    most: int = MAX_PAGE_SIZE


Link = One | Listed | Referring | Picked | Many | Gathered | Every
Paged = Many | Gathered | Every
