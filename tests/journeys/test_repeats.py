"""A repeat under an idempotency key, of every mutation, returns only what the caller may see by then."""

import re
from typing import Any

import pytest
from graphql import GraphQLField, get_named_type
from pymongo import UpdateMany

import documents
from documents.mongo.database import Database
from graph.core.mutation import IDEMPOTENCY_KEY
from resolvers.access.policies import POLICIES, allow_all
from resolvers.access.viewer import Role, Viewer
from resolvers.reads import lookups
from tests.journeys.access_inputs import mutations
from tests.journeys.granted import GRANTED, RUNNER, Row, Working, asking
from tests.support.asking import answer
from tests.support.builders import everything_kept

KEY = {"idempotencyKey": "a key"}
NOBODY = "user_000000000000000000000000"
CALLS = [(name, what) for name, rows in GRANTED.items() for what in rows]
FOR_ADMINISTRATORS = {("createUser", ""), ("createToken", "bound to a resource")}
SHOWS_NO_ROW = {"appendLogs"}

RIGHTS: dict[str, Any] = {
    "public": False,
    "userRef": NOBODY,
    "ownerRef": NOBODY,
    "ownerRefs": [NOBODY],
    "viewerKey": NOBODY,
    "runners": [],
    "borrowers": [],
    "claimants": [],
    "claimed_by": NOBODY,
    "access_control": {"public": False, "authorized_users": []},
}
"""The values of the fields that hold rights after all rights were revoked."""


def input_of(field: GraphQLField) -> Any:
    """The type of a mutation's input."""
    return get_named_type(field.args["input"].type)


def test_every_mutation_takes_a_key_that_means_the_same() -> None:
    for name, field in mutations():
        key = input_of(field).fields.get("idempotencyKey")

        assert key, f"{name} takes no idempotencyKey"
        assert (str(key.type), key.description) == ("String", IDEMPOTENCY_KEY)


_refused: set[tuple[str, Row, Role]] = set()
"""Roles that are known to be refused a call, and are not tried again."""


async def written(mutation: str, row: Row) -> tuple[Viewer, dict[str, Any], dict[str, Any]]:
    """Call the mutation under a key; returns the first viewer who is granted it, the input and the payload."""
    working = Working()
    owner = working.world.viewers["owner"]
    viewers = (Viewer(Role.WORKER), Viewer(Role.USER, owner.user_id), Viewer(Role.ADMIN))
    found: Any = "as was seen before"
    for viewer in (one for one in viewers if (mutation, row, one.role) not in _refused):
        await working.world.begin()
        await run_by(viewer)
        given = working.input(mutation, row) | KEY
        if viewer.role is not Role.ADMIN and "ownerId" in given:
            given |= {"ownerId": viewer.user_id}
        found = await answer(asking(mutation), viewer, input=given)
        if not found["data"][mutation]["userErrors"]:
            return viewer, given, found
        _refused.add((mutation, row, viewer.role))
    raise AssertionError(f"{mutation} is granted to nobody: {found}")


REVISED = [name for name, field in mutations() if "expectedRevision" in input_of(field).fields]
"""Mutations that are refused if their object has another revision."""
NEEDS_MORE = {"mergeOrganisations", "transferDigitalTwin"}
"""Mutations among them that take more than an id."""


@pytest.mark.parametrize("mutation", REVISED)
async def test_a_repeat_of_a_guarded_change_is_no_conflict(database: Database, mutation: str) -> None:
    working = Working()
    await working.world.begin()
    (row,) = GRANTED[mutation].values()
    given = working.input(mutation, row) | KEY
    changed = working.world.by_id[given["id"]]
    given["expectedRevision"] = changed.revision

    first = await answer(asking(mutation), Viewer(Role.ADMIN), input=given)
    again = await answer(asking(mutation), Viewer(Role.ADMIN), input=given)

    assert first["data"][mutation]["userErrors"] == []
    assert steady(again) == steady(first)
    (row_now,) = await type(changed).find({"_id": changed.id}).to_list()
    assert row_now.revision == changed.revision + 1


@pytest.mark.parametrize("mutation", REVISED)
async def test_a_change_to_what_is_there_already_writes_nothing(database: Database, mutation: str) -> None:
    working = Working()
    await working.world.begin()
    (row,) = GRANTED[mutation].values()
    given = working.input(mutation, row)
    changed = await answer(asking(mutation), Viewer(Role.ADMIN), input=given)
    before = await everything_kept()

    again = await answer(asking(mutation), Viewer(Role.ADMIN), input=given)
    bare = given if mutation in NEEDS_MORE else {"id": given["id"]}
    nothing = await answer(asking(mutation), Viewer(Role.ADMIN), input=bare)
    stale = await answer(asking(mutation), Viewer(Role.ADMIN), input=bare | {"expectedRevision": 0})

    assert changed["data"][mutation]["userErrors"] == []
    assert steady(again) == steady(nothing) == steady(changed)
    assert [one["code"] for one in stale["data"][mutation]["userErrors"]] == ["REVISION_CONFLICT"]
    assert await everything_kept() == before


async def run_by(viewer: Viewer) -> None:
    """Let the viewer be who runs things, and who uploaded, instead of an administrator."""
    keys = {"claimed_by": viewer.key, "viewerKey": viewer.key, "runners": [viewer.key], "claimants": [viewer.key]}
    await update_everywhere({path: UpdateMany({path: RUNNER}, {"$set": {path: key}}) for path, key in keys.items()})


async def take_all_rights_away() -> None:
    await update_everywhere(
        {path: UpdateMany({path: {"$exists": True}}, {"$set": {path: none}}) for path, none in RIGHTS.items()}
    )


async def update_everywhere(updates: dict[str, UpdateMany]) -> None:
    """Update what documents have each path: one round trip for a kind of document that has any of them."""
    for document in documents.ALL:
        # Most kinds have none: to try every path on every kind takes ten times the round trips.
        stored = {field.alias or name for name, field in document.model_fields.items()}
        if wanted := [update for path, update in updates.items() if path in stored]:
            await document.get_pymongo_collection().bulk_write(wanted)


def shown(found: dict[str, Any], mutation: str) -> list[str]:
    """The ids of what a payload shows, itself and not below."""
    values = [value for name, value in found["data"][mutation].items() if name != "userErrors"]
    rows = [row for value in values for row in (value if isinstance(value, list) else [value]) if isinstance(row, dict)]
    return [row["id"] for row in rows if "id" in row]


def is_for_everybody(id: str) -> bool:
    document = documents.by_kind(id)
    return document is not None and POLICIES[document] is allow_all


@pytest.mark.parametrize(("mutation", "what"), CALLS)
async def test_what_a_payload_shows_its_caller_may_see(database: Database, mutation: str, what: str) -> None:
    viewer, _, first = await written(mutation, GRANTED[mutation][what])

    for id in shown(first, mutation):
        document = documents.by_kind(id)
        assert document
        readable = await lookups.by_ids(document, [id], frozenset({"_id"}), viewer)
        # The report that ends an execution is answered with it, and its runner does not see it any more.
        assert id in readable or (mutation, what) == ("completeActivity", "the last step")


@pytest.mark.parametrize(("mutation", "what"), CALLS)
async def test_a_repeat_shows_what_was_written_while_the_caller_may_see_it(
    database: Database, mutation: str, what: str
) -> None:
    viewer, given, first = await written(mutation, GRANTED[mutation][what])
    before = await everything_kept()

    again = await answer(asking(mutation), viewer, input=given)

    assert steady(again) == steady(first)
    assert await everything_kept() == before


@pytest.mark.parametrize(("mutation", "what"), CALLS)
async def test_a_repeat_shows_nothing_that_the_caller_may_not_see_any_more(
    database: Database, mutation: str, what: str
) -> None:
    viewer, given, first = await written(mutation, GRANTED[mutation][what])
    ids = shown(first, mutation)
    await take_all_rights_away()

    again = await answer(asking(mutation), viewer, input=given)

    assert ids or mutation in SHOWS_NO_ROW
    if (mutation, what) in FOR_ADMINISTRATORS:
        assert viewer.role is Role.ADMIN
    elif not all(map(is_for_everybody, ids)):
        assert viewer.role is not Role.ADMIN
        assert_hidden(again, mutation, [id for id in ids if not is_for_everybody(id)])
    elif mutation == "claimActivity":
        # Everybody may see a transform, and who does not hold it any more is told so.
        assert again["data"][mutation]["activity"] is None
        assert [one["code"] for one in again["data"][mutation]["userErrors"]] == ["INVALID_STATE"]
    else:
        assert without_lineage(again) == without_lineage(first)


@pytest.mark.parametrize(("mutation", "what"), [call for call in CALLS if call[0] not in SHOWS_NO_ROW])
async def test_a_repeat_says_of_what_was_removed_meanwhile_that_it_is_not_found(
    database: Database, mutation: str, what: str
) -> None:
    viewer, given, first = await written(mutation, GRANTED[mutation][what])
    ids = shown(first, mutation)
    for document in documents.ALL:
        await document.get_pymongo_collection().delete_many({"_id": {"$in": ids}})

    again = await answer(asking(mutation), viewer, input=given)

    assert_hidden(again, mutation, ids)


def assert_hidden(found: dict[str, Any], mutation: str, ids: list[str]) -> None:
    """The payload says NOT_FOUND of each of the ids, and nothing else."""
    payload = dict(found["data"][mutation])
    errors = payload.pop("userErrors")
    assert "errors" not in found
    assert [(one["code"], one["path"]) for one in errors] == [("NOT_FOUND", ["input", "idempotencyKey"])] * len(ids)
    assert sorted(re.findall(r"[a-z]+_[0-9a-f]{24}", str(errors))) == sorted(ids)
    assert not any(payload.values())


def steady(found: dict[str, Any]) -> str:
    """An answer without what differs between two calls: signed URLs, and the key that is shown once."""
    text = re.sub(r"'url': '[^']+signature[^']+'", "a signed URL", str(found))
    text = re.sub(r"'expiresAt': '[^']+'", "a time", text)
    text = re.sub(r"'secret': ('pg_[^']+'|None), 'notice': ('[^']+'|None)", "a secret, or why there is none", text)
    return re.sub(r"'apiKey': ('pgi_[^']+'|None)", "a key or none", text)


def without_lineage(found: dict[str, Any]) -> str:
    """An answer without lineages, which lead from what everybody may see to what the caller may see now."""
    return re.sub(r"'lineage': \{.*?'truncatedBy': \[[^]]*\]\}", "a lineage", steady(found))
