"""Links between documents: the declarations from which views are made and reads are planned.

Paths are the stored ones; the values by which parents and children refer to each other are top-level fields. Each kind
of link costs one round trip for a whole level, however many parents there are.
"""

from dataclasses import dataclass

import documents
from resolvers.limits import MAX_PAGE_SIZE
from resolvers.reads.order import BY_ID, Order

Document = type[documents.Document]
BY_ID_ONLY = Order((BY_ID,))


@dataclass(frozen=True)
class ToOne:
    """The document whose id is at `via` on the parent."""

    document: Document
    via: str


@dataclass(frozen=True)
class ToManyByIds:
    """The documents whose ids are listed at `via` on the parent, in that order."""

    document: Document
    via: str


@dataclass(frozen=True)
class ToManyContaining:
    """The documents that list the parent's id at `via`, in `order`: a list that the parent bounds."""

    document: Document
    via: str
    order: Order = BY_ID_ONLY


@dataclass(frozen=True)
class ToOneBy:
    """The one child that references the parent at `via` and has the argument's value at `by`."""

    document: Document
    via: str
    by: str


@dataclass(frozen=True)
class Children:
    """Pages of the documents whose value at `via` is the parent's at `of`: its id, or the id of another document."""

    document: Document
    via: str
    order: Order = BY_ID_ONLY
    max_page_size: int = MAX_PAGE_SIZE
    of: str = "_id"
    inherits_access: bool = False
    """Whether everyone who sees the parent sees the children, so that their own policy is not applied."""
    single_parent: bool = False
    """Whether at most one of several parents has any children."""


@dataclass(frozen=True)
class PagedByIds:
    """Pages of the documents whose ids are listed at `via` on the parent."""

    document: Document
    via: str
    order: Order = BY_ID_ONLY
    max_page_size: int = MAX_PAGE_SIZE


@dataclass(frozen=True)
class AllDocuments:
    """Pages of all documents of a kind."""

    document: Document
    order: Order = BY_ID_ONLY
    max_page_size: int = MAX_PAGE_SIZE


Link = ToOne | ToManyByIds | ToManyContaining | ToOneBy | Children | PagedByIds | AllDocuments
PagedLink = Children | PagedByIds | AllDocuments
