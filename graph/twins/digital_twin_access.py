"""Mutations that change a digital twin's owner and readers."""

import strawberry
from strawberry.types import Info

from graph.core.mutation import (
    expected_revision,
    idempotency_key,
    mutation,
    optional,
    or_none,
    required,
    run_mutation,
)
from graph.twins.digital_twin import DigitalTwinPayload
from resolvers.twins.share_twin import update_digital_twin_access
from resolvers.twins.transfer_twin import transfer_digital_twin


@strawberry.input(
    description="Changes to the users with whom a digital twin is shared. Users that are not named keep their access."
)
class UpdateDigitalTwinAccessInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the digital twin.")
    expected_revision: int | None = expected_revision()
    authorize_user_ids: list[strawberry.ID] | None = optional("Ids of users who may read the digital twin from now on.")
    authorize_user_names: list[str] | None = optional(
        "Display names of users who may read the digital twin from now on."
    )
    revoke_user_ids: list[strawberry.ID] | None = optional("Ids of users who may no longer read the digital twin.")
    revoke_user_names: list[str] | None = optional("Display names of users who may no longer read the digital twin.")


@strawberry.input(description="A digital twin to transfer, and its new owner.")
class TransferDigitalTwinInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the digital twin.")
    expected_revision: int | None = expected_revision()
    owner_id: strawberry.ID | None = optional("Id of the new owner. Give either ownerId or ownerName.")
    owner_name: str | None = optional("Display name of the new owner. Give either ownerId or ownerName.")
    previous_owner_may_read: bool = optional(
        "Whether the digital twin is shared with its previous owner after the transfer. The new owner may change that.",
        default=True,
    )


@strawberry.type
class DigitalTwinAccessMutation:
    @mutation(
        "Share a digital twin with users, or stop sharing it. Its readers, at most 100, may also read its executions, "
        "steps, logs, results and outputs. Signed URLs that were issued before work until they expire. For the "
        "digital twin's owner and administrators."
    )
    async def update_digital_twin_access(self, info: Info, input: UpdateDigitalTwinAccessInput) -> DigitalTwinPayload:
        return await run_mutation(
            info,
            input,
            DigitalTwinPayload,
            lambda session, viewer: update_digital_twin_access(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                authorize_user_ids=or_none(input.authorize_user_ids),
                authorize_user_names=or_none(input.authorize_user_names),
                revoke_user_ids=or_none(input.revoke_user_ids),
                revoke_user_names=or_none(input.revoke_user_names),
            ),
        )

    @mutation(
        "Transfer a digital twin to another owner, together with its executions, steps, results and outputs. Other "
        "readers keep their access. For the digital twin's owner and administrators. Refused with INVALID_STATE while "
        "one of its executions has not ended, and with ALREADY_EXISTS when the new owner has a digital twin with this "
        "name."
    )
    async def transfer_digital_twin(self, info: Info, input: TransferDigitalTwinInput) -> DigitalTwinPayload:
        return await run_mutation(
            info,
            input,
            DigitalTwinPayload,
            lambda session, viewer: transfer_digital_twin(
                session,
                viewer,
                id=input.id,
                owner_id=or_none(input.owner_id),
                owner_name=or_none(input.owner_name),
                previous_owner_may_read=input.previous_owner_may_read,
                expected_revision=or_none(input.expected_revision),
            ),
        )
