"""API tokens that viewers make by the API: who may make which, what ends with what, and what a bound one may do."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import documents
from documents.access.token import Token
from documents.base import now
from documents.mongo.database import Database
from graph.access.token import SECRET_NOT_REPEATED
from resolvers.access.authentication import Authenticator
from resolvers.access.viewer import ADMIN, ANONYMOUS, Role, Unauthenticated, Viewer
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ask
from tests.support.builders import keep
from tests.support.catalogue import REQUEST, do, ingest
from tests.support.tokens import make_token

pytestmark = pytest.mark.usefixtures("database")

CREATE = """mutation ($input: CreateTokenInput!) { createToken(input: $input) {
  token { id name role expiresAt user { id } organisation { id } resource { id } }
  secret notice userErrors { code message path } } }"""
REVOKE = """mutation ($input: RevokeTokenInput!) { revokeToken(input: $input) {
  token { id revokedAt } userErrors { code message path } } }"""
CLAIM = """mutation ($input: ClaimActivityInput!) { claimActivity(input: $input) {
  activity { id attempt ... on Transform { resource { id } } } userErrors { code message path } } }"""
NEXT = """mutation ($input: ClaimActivityInput!) { claimActivity(input: $input) {
  activity { id } nextAvailableAt } }"""
COMPLETE = """mutation ($input: CompleteActivityInput!) { completeActivity(input: $input) {
  activity { status } userErrors { code } } }"""
LOG = """mutation ($input: AppendLogsInput!) { appendLogs(input: $input) { nextSequence userErrors { code } } }"""
DATASET = """mutation ($input: CreateDatasetInput!) { createDataset(input: $input) {
  dataset { identifier } userErrors { code message path } } }"""
UPDATE = """mutation ($input: UpdateResourceInput!) { updateResource(input: $input) {
  resource { title } userErrors { code message } } }"""
MERGE = """mutation ($input: MergeOrganisationsInput!) { mergeOrganisations(input: $input) {
  organisation { id } userErrors { code } } }"""
TOKENS = "{ viewer { tokens { nodes { name } } } tokens { nodes { name } } }"


async def viewer_of(secret: str) -> Viewer:
    return await Authenticator().viewer(f"Bearer {secret}")


async def is_valid(secret: str) -> bool:
    try:
        await viewer_of(secret)
    except Unauthenticated:
        return False
    return True


async def a_user() -> documents.User:
    user = new.a_user()
    await keep(user)
    return user


async def a_resource(name: str) -> dict[str, Any]:
    """A resource with its organisation and a transform that waits."""
    page = f"https://{name}.example/page"
    answer = await ingest(organisationUrl=f"https://{name}.example", landingPage=page)
    await do(REQUEST, resourceId=answer["resource"]["id"])
    (row,) = (
        await ask(
            "query ($id: ID!) { nodes(ids: [$id]) { ... on Resource { id organisation { id url } } } }",
            id=answer["resource"]["id"],
        )
    )["nodes"]
    found: dict[str, Any] = row
    return found


def refusal(payload: dict[str, Any]) -> tuple[str, str, list[str]]:
    (error,) = payload["userErrors"]
    return error["code"], error["message"], error["path"]


async def test_a_user_makes_a_token_for_themself_which_authenticates_them(database: Database) -> None:
    user = await a_user()

    made = await do(CREATE, Viewer(Role.USER, user.id), name=" my laptop ")
    viewer = await viewer_of(made["secret"])

    assert made == {
        "token": {
            "id": viewer.token_id,
            "name": "my laptop",
            "role": "USER",
            "expiresAt": None,
            "user": {"id": user.id},
            "organisation": None,
            "resource": None,
        },
        "secret": made["secret"],
        "notice": None,
        "userErrors": [],
    }
    assert viewer == Viewer(Role.USER, user.id)
    assert made["secret"] not in str(await database["tokens"].find_one({}))


@pytest.mark.parametrize(
    ("role", "given", "message", "path"),
    [
        (Role.USER, {"role": "WORKER"}, "Only an administrator makes tokens of the role WORKER.", ["input", "role"]),
        (Role.USER, {"role": "ADMIN"}, "Only an administrator makes tokens of the role ADMIN.", ["input", "role"]),
        (Role.USER, {"userId": "user_x"}, "Only an administrator makes tokens for others.", ["input", "userId"]),
        (Role.WORKER, {}, "This requires the role USER or ADMIN; yours is WORKER.", ["input"]),
        (
            Role.ANONYMOUS,
            {},
            "Anonymous callers cannot write: send an API token or sign in.",
            ["input"],
        ),
    ],
)
async def test_nobody_makes_tokens_that_can_do_more_than_they_can(
    role: Role, given: dict[str, Any], message: str, path: list[str]
) -> None:
    user = await a_user()
    viewer = ANONYMOUS if role is Role.ANONYMOUS else Viewer(role, user.id)

    made = await do(CREATE, viewer, name="more", **given)

    assert refusal(made) == ("FORBIDDEN", message, path)
    assert (made["token"], made["secret"]) == (None, None)
    assert await Token.find({}).count() == 0


async def test_an_administrator_makes_any_token_for_anybody() -> None:
    user = await a_user()

    made = [
        await do(CREATE, ADMIN, name="any", role=role, userId=id)
        for role, id in (("USER", user.id), ("WORKER", None), ("WORKER", user.id), ("ADMIN", None))
    ]

    assert [await viewer_of(one["secret"]) for one in made] == [
        Viewer(Role.USER, user.id),
        Viewer(Role.WORKER),
        Viewer(Role.WORKER, user.id),
        Viewer(Role.ADMIN),
    ]


async def test_a_token_expires_no_later_than_the_one_that_made_it() -> None:
    user = await a_user()
    maker, secret = await make_token("USER", user_id=user.id, lifetime=timedelta(days=1))
    viewer = await viewer_of(secret)
    assert maker.expires_at is not None
    later = maker.expires_at + timedelta(milliseconds=1)

    inherited = await do(CREATE, viewer, name="inherited")
    equal = await do(CREATE, viewer, name="equal", expiresAt=f"{maker.expires_at.isoformat()}")
    refused = await do(CREATE, viewer, name="later", expiresAt=f"{later.isoformat()}")

    assert inherited["token"]["expiresAt"] == equal["token"]["expiresAt"] is not None
    told = f"{later.isoformat()}, after {maker.expires_at.isoformat()}, when the token of this request expires."
    assert refusal(refused) == ("VALIDATION", f"expiresAt is {told}", ["input", "expiresAt"])


async def test_revoking_a_token_revokes_what_it_made_at_any_depth_and_nothing_else() -> None:
    user = await a_user()
    _, first = await make_token("USER", user_id=user.id)
    _, other = await make_token("USER", user_id=user.id)
    secrets = [first]
    for _ in range(3):
        made = await do(CREATE, await viewer_of(secrets[-1]), name="the next")
        secrets.append(made["secret"])
    second = (await viewer_of(secrets[1])).token_id

    revoked = await do(REVOKE, Viewer(Role.USER, user.id), id=second)

    assert revoked["userErrors"] == []
    assert revoked["token"]["revokedAt"] is not None
    assert [await is_valid(secret) for secret in (*secrets, other)] == [True, False, False, False, True]


async def test_a_token_that_was_revoked_meanwhile_makes_no_other() -> None:
    user = await a_user()
    token, secret = await make_token("USER", user_id=user.id)
    viewer = await viewer_of(secret)
    await do(REVOKE, ADMIN, id=token.id)

    refused = await do(CREATE, viewer, name="too late")

    assert refusal(refused) == ("FORBIDDEN", "The token of this request was revoked.", ["input"])
    assert await Token.find({}).count() == 1


async def test_no_token_escapes_a_revocation_that_runs_at_the_same_time() -> None:
    user = await a_user()
    token, secret = await make_token("USER", user_id=user.id)
    viewer = await viewer_of(secret)

    made = await asyncio.gather(
        *(do(CREATE, viewer, name=f"number {number}") for number in range(8)), do(REVOKE, ADMIN, id=token.id)
    )

    assert all(payload["userErrors"] == [] or refusal(payload)[0] == "FORBIDDEN" for payload in made)
    assert await Token.find({"revoked_at": None}).count() == 0


async def test_a_chain_of_tokens_has_an_end() -> None:
    token = new.a_token(await a_user(), ancestor_refs=[f"token_{number:024}" for number in range(20)])
    await keep(token)

    refused = await do(CREATE, Viewer(Role.USER, token.user_ref, token.id), name="one more")

    assert refusal(refused)[:2] == (
        "LIMIT_EXCEEDED",
        "A token has at most 20 before it: make this one with an earlier one.",
    )


async def test_a_repeated_call_answers_with_the_token_but_without_its_secret_and_says_so(database: Database) -> None:
    viewer = Viewer(Role.USER, (await a_user()).id)

    first = await do(CREATE, viewer, name="once", idempotencyKey="k")
    again = await do(CREATE, viewer, name="once", idempotencyKey="k")

    assert again == first | {
        "secret": None,
        "notice": SECRET_NOT_REPEATED,
    }
    assert await Token.find({}).count() == 1
    assert first["secret"] not in str(await database["idempotency_keys"].find({}).to_list())


async def test_viewers_see_the_tokens_that_stand_for_them_and_administrators_all(round_trips: RoundTrips) -> None:
    user, other = await a_user(), await a_user()
    for name, owner in (("mine", user), ("other", other)):
        await make_token("USER", name, user_id=owner.id)
    await make_token("WORKER", "worker", user_id=user.id)
    await make_token("ADMIN", "admin")

    with round_trips.counting() as seen:
        owner_sees = await ask(TOKENS, Viewer(Role.USER, user.id))
    worker_sees = await ask(TOKENS, Viewer(Role.WORKER, user.id))
    admin_sees = await ask(TOKENS, Viewer(Role.ADMIN, other.id))

    assert names(owner_sees) == (["mine", "worker"], ["mine", "worker"])
    assert names(worker_sees) == ([], [])
    assert names(admin_sees) == (["other"], ["mine", "other", "worker", "admin"])
    assert seen == [("find", "tokens"), ("find", "tokens")]


def names(answer: Any) -> tuple[list[str], list[str]]:
    own, all_ = answer["viewer"]["tokens"]["nodes"], answer["tokens"]["nodes"]
    return [token["name"] for token in own], [token["name"] for token in all_]


async def test_users_revoke_neither_tokens_of_others_nor_those_of_administrators() -> None:
    user = await a_user()
    others, _ = await make_token("USER", user_id=(await a_user()).id)
    admins, _ = await make_token("ADMIN", user_id=user.id)

    refused = [refusal(await do(REVOKE, Viewer(Role.USER, user.id), id=token.id)) for token in (others, admins)]

    assert refused == [
        ("NOT_FOUND", f"No Token with id {others.id}.", ["input", "id"]),
        (
            "FORBIDDEN",
            f"{admins.id} is an administrator's, so only an administrator may revoke it.",
            ["input", "id"],
        ),
    ]
    assert await Token.find({"revoked_at": None}).count() == 2


@pytest.mark.parametrize("bound_by", ["organisation", "resource"])
async def test_a_bound_worker_claims_reports_and_publishes_there_alone(bound_by: str) -> None:
    await a_resource("other")
    own = await a_resource("own")
    id = own["id"] if bound_by == "resource" else own["organisation"]["id"]
    made = await do(CREATE, ADMIN, name="bound", role="WORKER", **{f"{bound_by}Id": id})
    worker = await viewer_of(made["secret"])
    holding = {"worker": "w"}

    claimed = (await do(CLAIM, worker, leaseSeconds=600, **holding))["activity"]
    holding = {"worker": "w", "attempt": claimed["attempt"]}
    line = {"timestamp": "2026-01-01T00:00:00Z", "message": "works"}
    logged = await do(LOG, worker, activityId=claimed["id"], attempt=1, firstSequence=1, entries=[line])
    published = await ingest(
        worker,
        organisationUrl="https://own.example",
        landingPage="https://own.example/page",
        transformId=claimed["id"],
        attempt=1,
    )
    dataset = await do(DATASET, worker, resourceId=own["id"], identifier="by hand")
    nothing = await do(CLAIM, worker, worker="w", leaseSeconds=600)

    assert made["token"][bound_by] == {"id": id}
    assert claimed["resource"] == {"id": own["id"]}
    assert logged == {"nextSequence": 2, "userErrors": []}
    assert published["userErrors"] == []
    assert dataset == {"dataset": {"identifier": "by hand"}, "userErrors": []}
    assert nothing == {"activity": None, "userErrors": []}


async def test_a_bound_worker_completes_and_takes_over_what_it_holds(database: Database) -> None:
    await a_resource("other")
    own = await a_resource("own")
    _, secret = await make_token("WORKER", resource_id=own["id"])
    worker = await viewer_of(secret)
    await do(CLAIM, worker, worker="w", leaseSeconds=600)
    expired = {"leaseExpiresAt": now() - timedelta(seconds=1)}
    await database["transforms"].update_many({"status": "RUNNING"}, {"$set": expired})

    claimed = (await do(CLAIM, worker, worker="w", leaseSeconds=600))["activity"]
    ended = await do(COMPLETE, worker, id=claimed["id"], worker="w", attempt=2, outcome="SUCCEEDED")

    assert (claimed["attempt"], claimed["resource"]) == (2, {"id": own["id"]})
    assert ended == {"activity": {"status": "SUCCEEDED"}, "userErrors": []}


async def test_a_bound_worker_is_told_of_times_at_its_own_resource_alone(database: Database) -> None:
    other, own = await a_resource("other"), await a_resource("own")
    _, secret = await make_token("WORKER", resource_id=own["id"])
    worker, transforms = await viewer_of(secret), database["transforms"]
    later = now() + timedelta(hours=1)

    await transforms.update_many({"resourceRef": other["id"]}, {"$set": {"availableAt": later}})
    await transforms.update_many({"resourceRef": own["id"], "status": "READY"}, {"$set": {"status": "CANCELLED"}})
    of_others = await do(NEXT, worker, worker="w", leaseSeconds=600, idempotencyKey="k")
    await transforms.update_many({"status": "READY"}, {"$set": {"availableAt": now() - timedelta(hours=1)}})
    again = await do(NEXT, worker, worker="w", leaseSeconds=600, idempotencyKey="k")
    await do(REQUEST, resourceId=own["id"])
    await transforms.update_many({"resourceRef": own["id"], "status": "READY"}, {"$set": {"availableAt": later}})
    of_own = await do(NEXT, worker, worker="w", leaseSeconds=600)

    assert of_others == again == {"activity": None, "nextAvailableAt": None}
    assert of_own == {"activity": None, "nextAvailableAt": f"{later.isoformat(timespec='milliseconds')[:-6]}Z"}


async def test_a_bound_worker_writes_nothing_else(database: Database) -> None:
    other, own = await a_resource("other"), await a_resource("own")
    _, secret = await make_token("WORKER", resource_id=own["id"])
    worker = await viewer_of(secret)
    before = {name: await database[name].count_documents({}) for name in await database.list_collection_names()}

    elsewhere = await ingest(worker, organisationUrl="https://other.example", landingPage="https://other.example/page")
    new_one = await ingest(worker, organisationUrl="https://own.example", landingPage="https://own.example/new")
    dataset = await do(DATASET, worker, resourceId=other["id"], identifier="elsewhere")
    steps = await do(CLAIM, worker, worker="w", leaseSeconds=600, kinds=["STEP"])
    title = await do(UPDATE, worker, id=own["id"], title="mine")

    bound = f"This token is bound to {own['id']}"
    assert refusal(elsewhere) == ("FORBIDDEN", f"{bound}, which {other['id']} is no part of.", ["input"])
    assert refusal(new_one)[0] == "FORBIDDEN"
    assert refusal(dataset) == (
        "FORBIDDEN",
        f"{bound}, which {other['id']} is no part of.",
        ["input", "resourceId"],
    )
    assert refusal(steps) == ("FORBIDDEN", f"{bound}, so it claims transforms alone.", ["input", "kinds"])
    assert title["userErrors"] == [
        {
            "code": "FORBIDDEN",
            "message": f"{bound}: it may only claim transforms there, report on them and publish data.",
        }
    ]
    after = {name: await database[name].count_documents({}) for name in before}
    assert after == before


async def test_a_token_follows_its_organisation_into_the_one_that_it_is_merged_into() -> None:
    duplicate, right = await a_resource("duplicate"), await a_resource("right")
    _, secret = await make_token("WORKER", organisation_id=duplicate["organisation"]["id"])

    merged = await do(MERGE, ADMIN, id=right["organisation"]["id"], duplicateIds=[duplicate["organisation"]["id"]])
    worker = await viewer_of(secret)

    assert merged["userErrors"] == []
    assert worker.bound_to == right["organisation"]["id"]
