"""Roles that a write requires of its caller."""

from resolvers.access.viewer import Role, Viewer
from resolvers.user_errors import Forbidden


def refuse_anonymous(viewer: Viewer) -> None:
    """Refuse anonymous callers, before anything else is done."""
    if viewer.role is Role.ANONYMOUS:
        raise Forbidden("Anonymous callers cannot write: send an API token or sign in.")


def require_role(viewer: Viewer, *roles: Role) -> None:
    """Refuse viewers of other roles. Administrators may do everything."""
    refuse_anonymous(viewer)
    if viewer.role is Role.ADMIN or viewer.role in roles:
        return
    allowed = " or ".join(role.value for role in (*roles, Role.ADMIN))
    raise Forbidden(f"This requires the role {allowed}; yours is {viewer.role.value}.")
