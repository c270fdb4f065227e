"""Who is asking, as they see themselves."""

from typing import Any

import strawberry
from strawberry.types import Info

import documents
from graph.declared import reader_of
from graph.enums import described
from graph.projection import fields_below
from graph.user import User
from resolvers import viewer

Role = described(
    viewer.Role,
    "What a viewer may do.",
    ANONYMOUS="Reads what is public, writes nothing.",
    USER="Writes what they own.",
    WORKER="Writes the catalogue and the component registry, and reports activities.",
    ADMIN="Reads and writes everything.",
)


@strawberry.type(description="Who is asking. user is null for an anonymous viewer.")
class Viewer:
    role: Role = strawberry.field(description="What they may do.")  # type: ignore[valid-type]

    @strawberry.field(description="The user they are; null for a token that stands for none.", graphql_type=User | None)
    async def user(self: strawberry.Parent[viewer.Viewer], info: Info) -> Any:
        if self.user_id is None:
            return None
        return await reader_of(info).node(documents.User, self.user_id, fields_below(info))


@strawberry.type
class ViewerQuery:
    @strawberry.field(description="Who is asking, by the credentials of this request.", graphql_type=Viewer)
    def viewer(self, info: Info) -> viewer.Viewer:
        return reader_of(info).viewer
