"""Who is asking, as they see themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

import documents
from graph.enums import described
from graph.view import computed, one, stored, view
from resolvers import viewer

if TYPE_CHECKING:
    from graph.user import User

Role = described(
    viewer.Role,
    "What a viewer may do.",
    ANONYMOUS="Reads what is public, writes nothing.",
    USER="Writes what they own.",
    WORKER="Writes the catalogue and the component registry, and reports activities.",
    ADMIN="Reads and writes everything.",
)


class Asking(BaseModel):
    """A viewer as a row, so that it is shown like everything else."""

    role: str
    user_ref: str | None


@view(Asking)
class Viewer:
    """Who is asking. user is null for an anonymous viewer."""

    role: Role = stored(description="What they may do.")  # type: ignore[valid-type]
    user: User | None = one(
        documents.User, "user_ref", description="The user they are; null for a token that stands for none."
    )


def _as_rows(parents: list[Any], asking: viewer.Viewer) -> list[dict[str, Any]]:
    return [{"_id": "viewer", "role": asking.role.value, "user_ref": asking.user_id} for _ in parents]


@view()
class ViewerQuery:
    viewer: Viewer = computed(_as_rows, description="Who is asking, by the credentials of this request.")
