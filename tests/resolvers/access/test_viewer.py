"""The viewer of a request: anonymous, the administrator's token, API tokens, and invalid credentials."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from documents.access.token import Token
from documents.base import now
from documents.mongo.database import Database
from documents.twins.user import User
from resolvers.access.authentication import Authenticator
from resolvers.access.token_secret import is_well_formed, new_secret
from resolvers.access.viewer import ANONYMOUS, Role, Unauthenticated, Viewer
from resolvers.user_errors import InvalidInput, NotFound
from tests.support.credentials import ADMIN_TOKEN, REFUSAL, Clock, refusal
from tests.support.tokens import make_token, revoke

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(clock: Clock) -> Authenticator:
    return Authenticator(admin_token=ADMIN_TOKEN, clock=clock)


async def test_without_credentials_the_viewer_is_anonymous(authenticator: Authenticator) -> None:
    assert await authenticator.viewer(None) == ANONYMOUS == Viewer(Role.ANONYMOUS, None)


@pytest.mark.parametrize("header", ["", " ", "Bearer", "Bearer ", "Basic YTpi", ADMIN_TOKEN, "Bearer\t" + ADMIN_TOKEN])
async def test_a_header_that_is_no_bearer_token_is_refused_with_its_form(
    authenticator: Authenticator, header: str
) -> None:
    with pytest.raises(Unauthenticated, match="Bearer, a space, and a token"):
        await authenticator.viewer(header)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_admin_token_makes_an_administrator(authenticator: Authenticator, scheme: str) -> None:
    assert await authenticator.viewer(f"{scheme} {ADMIN_TOKEN}") == Viewer(Role.ADMIN)


@pytest.mark.parametrize(
    "secret", [ADMIN_TOKEN[:-1], ADMIN_TOKEN + "x", ADMIN_TOKEN.upper(), "None", "\u00fc\udcff", "x" * 100_000]
)
async def test_what_is_only_like_the_admin_token_is_refused(authenticator: Authenticator, secret: str) -> None:
    assert str(await refusal(authenticator, secret)) == REFUSAL


async def test_without_an_admin_token_or_an_issuer_only_api_tokens_are_accepted() -> None:
    _, secret = await make_token("WORKER", name="pipeline")
    bare = Authenticator()

    assert await bare.viewer(f"Bearer {secret}") == Viewer(Role.WORKER)
    assert str(await refusal(bare, "None")) == REFUSAL
    assert str(await refusal(bare, ADMIN_TOKEN)) == REFUSAL


async def test_a_token_stands_for_its_role_and_user(authenticator: Authenticator) -> None:
    user = await User(display_name="mila").insert()
    viewers = []
    for role in (Role.USER, Role.WORKER, Role.ADMIN):
        _, secret = await make_token(role, user_id=user.id)
        viewers.append(await authenticator.viewer(f"Bearer {secret}"))

    assert viewers == [Viewer(Role.USER, user.id), Viewer(Role.WORKER, user.id), Viewer(Role.ADMIN, user.id)]


async def test_a_token_is_stored_as_a_hash_only(database: Database) -> None:
    token, secret = await make_token("ADMIN", name="set-up")
    stored = await database["tokens"].find_one({"_id": token.id})

    assert stored is not None
    assert stored["hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret[3:20] not in str(stored)


def test_a_secret_has_a_prefix_and_a_checksum() -> None:
    secret = new_secret()
    changed = secret[:10] + ("a" if secret[10] != "a" else "b") + secret[11:]

    assert is_well_formed(secret)
    assert (secret[:3], len(secret)) == ("pg_", 53)
    assert secret.replace("_", "").isalnum()
    assert not any(map(is_well_formed, [changed, secret[:-1], secret + "0", "gh" + secret[2:], "pg_", ""]))


async def test_a_token_ends_with_its_lifetime(authenticator: Authenticator, clock: Clock) -> None:
    end = now() + timedelta(hours=1)
    token, secret = await make_token("WORKER", name="pipeline", expires_at=end)
    assert token.expires_at == end

    clock.at = end - timedelta(milliseconds=1)
    assert await authenticator.viewer(f"Bearer {secret}") == Viewer(Role.WORKER)
    clock.at = end
    assert str(await refusal(authenticator, secret)) == REFUSAL


async def test_a_revoked_token_is_refused_and_revoking_again_changes_nothing(authenticator: Authenticator) -> None:
    token, secret = await make_token("WORKER", name="pipeline")
    _, other = await make_token("WORKER", name="another pipeline")

    revoked = await revoke(token.id)
    again = await revoke(token.id)

    assert revoked.revoked_at is not None
    assert again == revoked
    assert str(await refusal(authenticator, secret)) == REFUSAL
    assert await authenticator.viewer(f"Bearer {other}") == Viewer(Role.WORKER)


async def test_revoking_an_unknown_token_says_so() -> None:
    with pytest.raises(NotFound, match="No Token with id token_x"):
        await revoke("token_x")


async def test_a_well_formed_secret_that_nobody_made_is_refused(authenticator: Authenticator) -> None:
    assert str(await refusal(authenticator, new_secret())) == REFUSAL
    assert str(await refusal(authenticator, "pg_" + "\u00fc" * 43 + "_000000")) == REFUSAL


async def test_the_last_use_is_noted_to_the_minute(authenticator: Authenticator, clock: Clock) -> None:
    token, secret = await make_token("WORKER", name="pipeline")
    started, noted = clock.at, []
    for seconds in (0, 59, 1):
        clock.move(seconds=seconds)
        await authenticator.viewer(f"Bearer {secret}")
        found = await Token.get(token.id)
        noted.append(found and found.last_used_at)

    assert noted == [started, started, started + timedelta(seconds=60)]


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        ({"name": " "}, "name must be one line", "name"),
        ({"role": Role.USER}, "needs a user", "userId"),
        (
            {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
            "must be in the future, not 2020-01-01T00:00:00",
            "expiresAt",
        ),
        ({"user_id": "user_x"}, "No User with id user_x", "userId"),
        ({"role": Role.WORKER, "resource_id": "resource_x"}, "No Resource with id resource_x", "resourceId"),
        ({"organisation_id": "organisation_x"}, "Only WORKER tokens can be bound, not .* ADMIN", "organisationId"),
        ({"role": Role.WORKER, "organisation_id": "a", "resource_id": "b"}, "not to both", "resourceId"),
        ({"role": Role.WORKER, "resource_id": "b", "user_id": "user_x"}, "stands for no user", "userId"),
    ],
)
async def test_a_token_that_makes_no_sense_is_not_made(given: Any, message: str, path: str) -> None:
    with pytest.raises((InvalidInput, NotFound), match=message) as raised:
        await make_token(**{"role": Role.ADMIN} | given)

    assert list(raised.value.path) == [path]
    assert await Token.find({}).count() == 0
