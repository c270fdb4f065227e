"""Roles: the one that an OIDC token grants its bearer, and those that a write requires of its caller."""

from typing import Any

from resolvers.access.viewer import Role, Viewer
from resolvers.user_errors import Forbidden

ROLE_CLAIM = "provenance_role"


def role_of_claims(claims: dict[str, Any]) -> Role:
    """The role that verified claims grant: USER, unless the claim `provenance_role` says WORKER or ADMIN."""
    claimed = claims.get(ROLE_CLAIM)
    return Role(claimed) if claimed in (Role.WORKER.value, Role.ADMIN.value) else Role.USER


def refuse_anonymous(viewer: Viewer) -> None:
    """Refuse anonymous callers, before anything else is done."""
    if viewer.role is Role.ANONYMOUS:
        raise Forbidden("Anonymous callers cannot write: send an API token or sign in.")


def require_role(viewer: Viewer, *roles: Role, allow_bound: bool = False) -> None:
    """Refuse viewers of other roles, and those whose token is bound unless the write checks that itself.

    Administrators may do everything.
    """
    refuse_anonymous(viewer)
    if viewer.bound_to is not None and not allow_bound:
        raise Forbidden(
            f"This token is bound to {viewer.bound_to}: it may only claim transforms there, report on them and publish "
            "data."
        )
    if viewer.role is Role.ADMIN or viewer.role in roles:
        return
    allowed = " or ".join(role.value for role in (*roles, Role.ADMIN))
    raise Forbidden(f"This requires the role {allowed}; yours is {viewer.role.value}.")


def check_bound(viewer: Viewer, resource: dict[str, Any], *path: str) -> None:
    """Refuse viewers whose token is bound to another resource, or to another organisation than the resource's."""
    if viewer.bound_to not in (None, resource["_id"], resource["organisationRef"]):
        raise Forbidden(f"This token is bound to {viewer.bound_to}, which {resource['_id']} is no part of.", *path)
