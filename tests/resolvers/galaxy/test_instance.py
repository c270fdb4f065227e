"""Instances and their keys, through the schema."""

import hashlib
from typing import Any
from uuid import uuid4

import pytest

import documents
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.galaxy.instance import MAX_KEY_LENGTH, MAX_OWNERS, authenticate, hash_of
from tests.support import builders as new
from tests.support.asking import ask
from tests.support.builders import everything_kept, keep
from tests.support.runs import do

pytestmark = pytest.mark.usefixtures("database")

CREATE = """mutation ($input: CreateInstanceInput!) { createInstance(input: $input) {
  instance { id uuid url title public owners { id } latitude revision } apiKey userErrors { code message path } } }"""
UPDATE = """mutation ($input: UpdateInstanceInput!) { updateInstance(input: $input) {
  instance { id uuid title public revision } userErrors { code message path } } }"""
ROTATE = """mutation ($id: ID!) { rotateInstanceKey(input: {id: $id}) {
  instance { revision } apiKey userErrors { code } } }"""
LIST = "{ instances(first: 100) { totalCount nodes { id archives { totalCount nodes { id } } } } }"


@pytest.fixture
async def owner(database: Database) -> Viewer:
    return await a_viewer()


async def a_viewer() -> Viewer:
    user = new.a_user()
    await keep(user)
    return Viewer(Role.USER, user.id)


async def created(viewer: Viewer, **fields: Any) -> Any:
    given = {"url": "https://galaxy.example", "title": "A Galaxy", **fields}
    return (await ask(CREATE, viewer, input=given))["createInstance"]


async def updated(viewer: Viewer, id: str, **fields: Any) -> Any:
    return (await ask(UPDATE, viewer, input={"id": id, **fields}))["updateInstance"]


async def test_an_instance_is_private_and_its_makers_own_until_they_say_otherwise(owner: Viewer) -> None:
    payload = await created(owner)

    assert payload["userErrors"] == []
    assert payload["instance"]["owners"] == [{"id": owner.user_id}]
    assert payload["instance"]["public"] is False
    for stranger in (ANONYMOUS, await a_viewer(), Viewer(Role.WORKER)):
        assert (await ask(LIST, stranger))["instances"] == {"totalCount": 0, "nodes": []}
    assert (await ask(LIST, owner))["instances"]["totalCount"] == 1


async def test_a_key_is_shown_once_and_nowhere_stored(owner: Viewer) -> None:
    first = await created(owner, idempotencyKey="once")
    second = await created(owner, idempotencyKey="once")
    rotated = (await ask(ROTATE, owner, id=first["instance"]["id"]))["rotateInstanceKey"]

    assert first["instance"] == second["instance"]
    assert second["apiKey"] is None
    assert len({first["apiKey"], rotated["apiKey"]}) == 2
    kept = str(await everything_kept())
    assert first["apiKey"] not in kept
    assert rotated["apiKey"] not in kept
    assert hashlib.sha256(rotated["apiKey"].encode()).hexdigest() in kept


async def test_an_instance_is_known_by_its_own_key_alone_up_to_the_longest_length() -> None:
    own, longest = "pgi_own", "k" * MAX_KEY_LENGTH
    first, second = new.an_instance(key_hash=hash_of(own)), new.an_instance(key_hash=hash_of(longest))
    await keep(first, second)

    known = [await authenticate(first.uuid.upper(), own), await authenticate(second.uuid, longest)]
    unknown = [
        await authenticate(uuid, key)
        for uuid, key in [
            *[(first.uuid, longest), (second.uuid, own), (second.uuid, longest + "k"), (second.uuid, longest[1:])],
            *[(first.uuid, ""), ("", ""), ("no-uuid", own), (str(uuid4()), ""), (f"{{{first.uuid}}}", own)],
        ]
    ]

    assert [row and row["_id"] for row in known] == [first.id, second.id]
    assert unknown == [None] * 9


async def test_publishing_an_instance_shows_its_archives_and_hiding_it_hides_them(owner: Viewer) -> None:
    id = (await created(owner))["instance"]["id"]
    instance = await documents.Instance.get(id)
    assert instance
    archive = new.an_archive(instance)
    await keep(archive)
    shown = []

    for public in (True, False):
        await updated(owner, id, public=public)
        found = await ask("query ($id: ID!) { node(id: $id) { id } }", ANONYMOUS, id=archive.id)
        shown.append((found["node"], (await ask(LIST))["instances"]["totalCount"]))

    assert shown == [({"id": archive.id}, 1), (None, 0)]


async def test_who_is_no_owner_any_more_reads_nothing_and_who_becomes_one_reads_all(owner: Viewer) -> None:
    heir = await a_viewer()
    id = (await created(owner))["instance"]["id"]
    instance = await documents.Instance.get(id)
    assert instance
    await keep(new.an_archive(instance))

    alone = await updated(owner, id, ownerIds=[heir.user_id])
    both = await updated(owner, id, ownerIds=[heir.user_id, owner.user_id])
    without = await updated(heir, id, ownerIds=[heir.user_id])

    assert [error["code"] for error in alone["userErrors"]] == ["FORBIDDEN"]
    assert both["userErrors"] == without["userErrors"] == []
    assert (await ask(LIST, owner))["instances"]["totalCount"] == 0
    (seen,) = (await ask(LIST, heir))["instances"]["nodes"]
    assert seen["archives"]["totalCount"] == 1


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        (
            *({"uuid": "no-uuid"}, "VALIDATION"),
            "uuid must be a UUID such as 00000000-0000-0000-0000-000000000000, not 'no-uuid'.",
        ),
        ({"url": "javascript:alert(1)"}, "VALIDATION", "url must be an absolute URL, not 'javascript:alert(1)'."),
        ({"title": " "}, "VALIDATION", "title must be one line of 1 to 1000 characters, not ' '."),
        ({"latitude": 90.5}, "VALIDATION", "latitude must be from -90 to 90 degrees, not 90.5."),
        ({"longitude": -181.0}, "VALIDATION", "longitude must be from -180 to 180 degrees, not -181.0."),
        ({"ownerIds": []}, "FORBIDDEN", "You must be one of the owners, unless you are an administrator."),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_stored(
    owner: Viewer, fields: dict[str, Any], code: str, message: str
) -> None:
    before = await everything_kept()

    payload = await created(owner, **fields)

    assert payload["instance"] is None
    assert payload["apiKey"] is None
    assert payload["userErrors"] == [{"code": code, "message": message, "path": ["input", *fields]}]
    assert await everything_kept() == before


async def test_a_place_may_be_as_far_north_and_west_as_there_is(owner: Viewer) -> None:
    payload = await created(owner, latitude=90.0, longitude=-180.0)

    assert (payload["userErrors"], payload["instance"]["latitude"]) == ([], 90.0)


async def test_an_instance_has_a_hundred_owners_at_most_who_are_all_users(owner: Viewer) -> None:
    others = [f"user_{number:024x}" for number in range(MAX_OWNERS)]
    before = await everything_kept()

    most = await created(owner, ownerIds=[owner.user_id, *others[1:]])
    beyond = await created(owner, ownerIds=[owner.user_id, *others])

    assert most["userErrors"] == [
        {"code": "NOT_FOUND", "message": f"No User with id {others[1]}.", "path": ["input", "ownerIds", "1"]}
    ]
    message = "101 owners are too many; at most 100 are allowed."
    assert beyond["userErrors"] == [{"code": "VALIDATION", "message": message, "path": ["input", "ownerIds"]}]
    assert await everything_kept() == before


async def test_what_an_instance_must_have_cannot_be_taken_from_it(owner: Viewer) -> None:
    id = (await created(owner))["instance"]["id"]
    before = await everything_kept()

    refused = {name: await updated(owner, id, **{name: None}) for name in ("url", "title", "public", "ingests")}

    for name, payload in refused.items():
        message = f"{name} cannot be null: leave it out to keep it as it is."
        assert payload["userErrors"] == [{"code": "VALIDATION", "message": message, "path": ["input", name]}]
    assert await everything_kept() == before


@pytest.mark.parametrize("mutation", ["updateInstance", "rotateInstanceKey"])
async def test_an_instance_of_somebody_else_is_not_changed(owner: Viewer, mutation: str) -> None:
    private, public = (new.an_instance(owner_refs=[owner.user_id], public=public) for public in (False, True))
    await keep(private, public)
    stranger = await a_viewer()
    before = await everything_kept()

    hidden, seen = [await do(mutation, "instance { id }", stranger, id=one.id) for one in (private, public)]

    (not_found,), (forbidden,) = hidden["userErrors"], seen["userErrors"]
    assert not_found == {
        "__typename": "NotFound",
        "code": "NOT_FOUND",
        "message": f"No Instance with id {private.id}.",
        "path": ["input", "id"],
    }
    assert forbidden == {
        "__typename": "Forbidden",
        "code": "FORBIDDEN",
        "message": f"Instance {public.id} belongs to somebody else.",
        "path": ["input", "id"],
    }
    assert await everything_kept() == before


async def test_a_uuid_belongs_to_one_instance_however_it_is_written(owner: Viewer) -> None:
    uuid = "ABCDEF00-0000-4000-8000-000000000000"

    first, second = await created(owner, uuid=uuid), await created(owner, uuid=uuid.lower())
    found = await ask("query ($uuid: String) { instance(uuid: $uuid) { id } }", owner, uuid=uuid.lower())

    assert first["instance"]["uuid"] == uuid.lower()
    assert second["userErrors"] == [
        {
            "code": "ALREADY_EXISTS",
            "message": f"An instance with the UUID {uuid.lower()} exists already.",
            "path": ["input", "uuid"],
        }
    ]
    assert found["instance"]["id"] == first["instance"]["id"]


async def test_a_change_that_expects_another_revision_changes_nothing(owner: Viewer) -> None:
    id = (await created(owner))["instance"]["id"]

    await updated(owner, id, title="Another")
    late = await updated(owner, id, title="Lost", expectedRevision=1)

    assert [error["code"] for error in late["userErrors"]] == ["REVISION_CONFLICT"]
    instance = await documents.Instance.get(id)
    assert instance
    assert (instance.title, instance.revision) == ("Another", 2)
