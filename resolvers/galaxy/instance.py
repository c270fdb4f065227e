"""Writing instances, and authenticating them by their keys."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack
from uuid import UUID, uuid4

import documents
from documents.mongo.transaction import Session
from resolvers.access.policies import owns_any
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.named_users import check_user_ids
from resolvers.user_errors import AlreadyExists, Forbidden, InvalidInput
from resolvers.validators import check_line, check_text, check_url
from resolvers.writes.store import get_readable, insert_or_retry, update
from resolvers.writes.transaction import Outcome

KEY_PREFIX = "pgi_"
"""Prefix of keys, so that they are recognised as secrets wherever they turn up."""
MAX_KEY_LENGTH = 100
MAX_OWNERS = 100
FOLLOWERS: tuple[type[documents.Document], ...] = (
    documents.Archive,
    documents.Generation,
    documents.Ingestion,
)
"""Documents that repeat an instance's access fields."""


class InstanceChanges(TypedDict, total=False):
    """The fields of an instance that its owners change."""

    url: str | None
    title: str | None
    description: str | None
    public: bool | None
    latitude: float | None
    longitude: float | None
    ingests: bool | None


def new_key() -> str:
    """A key with 256 random bits, which is shown once and stored as its hash."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """The SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


async def authenticate(uuid: str, key: str) -> Row | None:
    """Return the instance with this UUID and key, None when either is wrong."""
    uuid = _canonical_uuid(uuid) or ""
    row: Row | None = await collection_of(documents.Instance).find_one({"uuid": uuid})
    # Compared also when there is no such instance, so that both cases take the same time.
    expected = row["keyHash"] if row else hash_of("")
    is_valid = hmac.compare_digest(hash_of(key[:MAX_KEY_LENGTH]), expected) and len(key) <= MAX_KEY_LENGTH
    return row if is_valid and row else None


async def create_instance(
    session: Session,
    viewer: Viewer,
    *,
    key: str,
    url: str,
    title: str,
    public: bool,
    uuid: str | None = None,
    owner_ids: Sequence[str] | None = None,
    description: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    ingests: bool = True,
) -> Outcome:
    """Create an instance with this key, owned by the viewer unless others are named. Raises AlreadyExists."""
    require_role(viewer, Role.USER)
    own_id = [viewer.user_id] if viewer.user_id else []
    owners = await _check_owners(owner_ids if owner_ids is not None else own_id, viewer, session)
    known_as = _check_uuid(uuid) if uuid is not None else str(uuid4())
    if await collection_of(documents.Instance).find_one({"uuid": known_as}, {"_id": 1}, session=session):
        raise AlreadyExists(f"An instance with the UUID {known_as} exists already.", "uuid")
    facts = InstanceChanges(
        url=url, title=title, description=description, latitude=latitude, longitude=longitude, ingests=ingests
    )
    instance = documents.Instance(
        uuid=known_as,
        public=public,
        owner_refs=owners,
        key_hash=hash_of(key),
        **{name: _check_field(name, value) for name, value in facts.items()},
    )
    return {"instance": await insert_or_retry(instance, session)}


async def update_instance(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    owner_ids: Sequence[str] | None = None,
    **changes: Unpack[InstanceChanges],
) -> Outcome:
    """Change an instance, and the access to everything that follows it, and return it.

    Raises NotFound for an instance that the viewer may not see, and Forbidden for one of somebody else.
    """
    require_role(viewer, Role.USER, Role.WORKER)
    instance = await own_instance(id, viewer, session, "id")
    values: dict[str, Any] = {name: _check_field(name, value) for name, value in changes.items()}
    if owner_ids is not None:
        values["ownerRefs"] = await _check_owners(owner_ids, viewer, session)
    changed = await update(documents.Instance, instance, values, expected_revision, session)
    access = {name: changed[name] for name in ("public", "ownerRefs")}
    if any(instance[name] != value for name, value in access.items()):
        for follower in FOLLOWERS:
            await collection_of(follower).update_many({"instanceRef": id}, {"$set": access}, session=session)
    return {"instance": changed}


async def rotate_instance_key(session: Session, viewer: Viewer, *, key: str, id: str) -> Outcome:
    """Replace the key of an instance, and return the instance."""
    require_role(viewer, Role.USER, Role.WORKER)
    instance = await own_instance(id, viewer, session, "id")
    return {"instance": await update(documents.Instance, instance, {"keyHash": hash_of(key)}, None, session)}


async def own_instance(id: str, viewer: Viewer, session: Session, *path: str) -> Row:
    """The viewer's own instance. Raises NotFound when the viewer may not see it, Forbidden when it is not theirs."""
    instance = await get_readable(documents.Instance, id, viewer, session, *path)
    if not owns_any(viewer, instance.get("ownerRefs")):
        raise Forbidden(f"Instance {id} belongs to somebody else.", *path)
    return instance


async def _check_owners(ids: Sequence[str], viewer: Viewer, session: Session) -> list[str]:
    """The owners, always including a user who is not an administrator: users neither lock themselves out nor create for
    others."""
    if viewer.role is not Role.ADMIN and viewer.user_id not in ids:
        raise Forbidden("You must be one of the owners, unless you are an administrator.", "ownerIds")
    if len(ids) > MAX_OWNERS:
        raise InvalidInput(f"{len(ids)} owners are too many; at most {MAX_OWNERS} are allowed.", "ownerIds")
    return await check_user_ids(ids, session, "ownerIds")


def _check_field(name: str, value: Any) -> Any:
    if value is None and name in ("url", "title", "public", "ingests"):
        raise InvalidInput(f"{name} cannot be null: leave it out to keep it as it is.", name)
    match name:
        case "url":
            return check_url(value, name)
        case "title":
            return check_line(value, name)
        case "description":
            return check_text(value, name)
        case "latitude":
            return _check_degrees(value, name, 90)
        case "longitude":
            return _check_degrees(value, name, 180)
    return value


def _check_degrees(value: float | None, name: str, limit: int) -> float | None:
    if value is not None and not -limit <= value <= limit:
        raise InvalidInput(f"{name} must be from -{limit} to {limit} degrees, not {value}.", name)
    return value


def _check_uuid(value: str) -> str:
    uuid = _canonical_uuid(value)
    if uuid is None:
        raise InvalidInput(f"uuid must be a UUID such as {UUID(int=0)}, not {value[:100]!r}.", "uuid")
    return uuid


def _canonical_uuid(value: str) -> str | None:
    """A UUID in canonical lower-case form, None for anything else."""
    try:
        uuid = str(UUID(value))
    except ValueError:
        return None
    return uuid if uuid == value.lower() else None
