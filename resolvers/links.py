"""How one document leads to others: the declarations that views are made of, and every read is planned from.

Paths are the stored ones; what parents and children know each other by stands at their top level. Each kind of link
costs one round trip for a whole level, however many parents there are.
"""

from dataclasses import dataclass

import documents
from resolvers.order import BY_ID, Order
from resolvers.page import LARGEST_SIZE

Document = type[documents.Document]
BY_ID_ALONE = Order((BY_ID,))


@dataclass(frozen=True)
class One:
    """The document whose id stands at `via` on the parent."""

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
    """The one child of the parent, which it names at `via`, that has the argument's value at `by`."""

    document: Document
    via: str
    by: str


@dataclass(frozen=True)
class Many:
    """Pages of the documents that name at `via` what the parent has at `of`: its id, or the id of what stands for it.

    `follows` says that whoever sees the parent sees them, so that their own policy need not be asked; `alone`, that of
    several parents one at most has any.
    """

    document: Document
    via: str
    order: Order = BY_ID_ALONE
    most: int = LARGEST_SIZE
    of: str = "_id"
    follows: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Gathered:
    """Pages of the documents whose ids are listed at `via` on the parent."""

    document: Document
    via: str
    order: Order = BY_ID_ALONE
    most: int = LARGEST_SIZE


@dataclass(frozen=True)
class Every:
    """Pages of all documents of a kind."""

    document: Document
    order: Order = BY_ID_ALONE
    most: int = LARGEST_SIZE


Link = One | Listed | Referring | Picked | Many | Gathered | Every
Paged = Many | Gathered | Every
