"""The viewer, whose credentials a request carries, in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

import documents
from graph.access.token import TokenOrder, TokenWhere
from graph.core.enums import describe_enum
from graph.core.pagination import Connection
from graph.core.view import computed, connection, one, stored, view
from graph.twins.digital_twin import DigitalTwinOrder, DigitalTwinWhere
from graph.twins.output import OutputWhere
from resolvers.access import quota_sizes, viewer
from resolvers.access.quota import QuotaState, quotas

if TYPE_CHECKING:
    from graph.access.token import Token
    from graph.twins.digital_twin import DigitalTwin
    from graph.twins.output import Output
    from graph.twins.user import User

Role = describe_enum(
    viewer.Role,
    "The role of a viewer, which decides what the viewer may do.",
    ANONYMOUS="Reads public objects and writes nothing.",
    USER="Writes objects of their own.",
    WORKER="Writes the catalogue and the component registry, and reports activities.",
    ADMIN="Reads and writes everything.",
)


QuotaName = describe_enum(
    quota_sizes.QuotaName,
    "What a quota limits.",
    REQUESTS="Operations that begin, and documents that are fetched.",
    OBJECTS="Objects in answers, as often as they occur.",
    UPLOADS="Uploads that begin.",
)
QuotaSubject = describe_enum(
    quota_sizes.QuotaSubject,
    "Whose use a quota limits.",
    USER="All that is done on behalf of the user.",
    TOKEN="All that is done with the API token.",
)


@view(QuotaState)
class Quota:
    """How much a user or an API token may use each day, in UTC."""

    name: QuotaName = stored(description="What the quota limits.")  # type: ignore[valid-type]
    subject: QuotaSubject = stored(description="Whose use the quota limits.")  # type: ignore[valid-type]
    size: int = stored(description="How many there are each day.")
    used: int = stored(
        description="How many were used today. What other processes of the server counted is known within seconds."
    )
    renewed_at: datetime = stored(description="When the next day begins, with nothing used.")


class Asking(BaseModel):
    """The viewer as a row, so that it can be read like any other object."""

    role: str
    user_ref: str | None


@view(Asking)
class Viewer:
    """The user or worker whose credentials the request carries. An anonymous viewer has no user."""

    role: Role = stored(description="The viewer's role.")  # type: ignore[valid-type]
    user: "User | None" = one(
        documents.User,
        "user_ref",
        description="The viewer's user account. Null for anonymous viewers and for tokens that belong to no user.",
    )
    shared_digital_twins: "Connection[DigitalTwin]" = connection(
        documents.DigitalTwin,
        "reader_refs",
        of="user_ref",
        where=DigitalTwinWhere,
        order_by=DigitalTwinOrder,
        description="Digital twins of other users that are shared with the viewer, oldest first unless orderBy is "
        "given.",
    )
    shared_outputs: "Connection[Output]" = connection(
        documents.Output,
        "access_control.authorized_users",
        of="user_ref",
        where=OutputWhere,
        description="Outputs that are shared with the viewer individually, oldest first. The outputs of shared "
        "digital twins are reached through sharedDigitalTwins.",
    )
    quotas: list[Quota] = computed(
        quotas,
        description="What the viewer may use each day, and has used. Empty for administrators, for anonymous viewers, "
        "and where the server has no quotas.",
    )
    tokens: "Connection[Token]" = connection(
        documents.Token,
        "user_ref",
        of="user_ref",
        where=TokenWhere,
        order_by=TokenOrder,
        description="API tokens that stand for the viewer, also expired and revoked ones, oldest first unless orderBy "
        "is given. Empty for workers, and for viewers that have no user.",
    )


def _as_rows(parents: list[Any], asking: viewer.Viewer) -> list[dict[str, Any]]:
    return [{"_id": "viewer", "role": asking.role.value, "user_ref": asking.user_id} for _ in parents]


@view()
class ViewerQuery:
    viewer: Viewer = computed(_as_rows, description="The viewer, identified by the credentials of the request.")
