"""JWTs of an OpenID Connect issuer: whom they make known, and every way in which they prove nothing."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from documents.twins.user import User
from resolvers.access import jwks, oidc
from resolvers.access.authentication import Authenticator
from resolvers.access.viewer import Role, Viewer
from tests.support.credentials import ADMIN_TOKEN, REFUSAL, Clock, refusal
from tests.support.issuer import AUDIENCE, LocalIssuer
from tests.support.patience import within

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def _patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the issuer, which shares this process, take its time."""
    for name in ("KEY_TIMEOUT", "RESPONSE_TIMEOUT", "FETCH_TIMEOUT"):
        monkeypatch.setattr(jwks, name, within())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(issuer: LocalIssuer, clock: Clock) -> Authenticator:
    return Authenticator(
        admin_token=ADMIN_TOKEN, oidc_issuer=issuer.url, oidc_audience=AUDIENCE, clock=clock, timer=clock.seconds
    )


@pytest.mark.parametrize("key_id", ["rsa-1", "ec-1"])
async def test_a_jwt_of_the_issuer_makes_a_user_at_first_sight(
    authenticator: Authenticator, issuer: LocalIssuer, key_id: str
) -> None:
    token = issuer.token(key_id, name="Mila  Novak\n", email="mila@example.org")

    first = await authenticator.viewer(f"Bearer {token}")
    second = await authenticator.viewer(f"Bearer {issuer.token('ec-1', name='Somebody else')}")

    user = await User.find_one({"oidcSubject": "subject-1"})
    assert user is not None
    assert first == second == Viewer(Role.USER, user.id)
    assert (user.display_name, user.email) == ("Mila Novak", "mila@example.org")
    assert await User.find({}).count() == 1


async def test_twenty_first_requests_at_once_make_one_user(authenticator: Authenticator, issuer: LocalIssuer) -> None:
    token = issuer.token(name="Mila")
    viewers = await asyncio.gather(*(authenticator.viewer(f"Bearer {token}") for _ in range(20)))

    assert len(set(viewers)) == 1
    assert await User.find({}).count() == 1
    assert issuer.key_requests == 1


async def test_nobody_becomes_an_existing_user_by_a_name_or_an_address(
    authenticator: Authenticator, issuer: LocalIssuer
) -> None:
    existing = await User(display_name="mila", email="mila@example.org").insert()

    viewer = await authenticator.viewer(f"Bearer {issuer.token(name='mila', email='mila@example.org')}")

    newcomer = await User.get(viewer.user_id)
    assert newcomer is not None
    assert newcomer.id != existing.id
    assert newcomer.display_name.startswith("mila-")


@pytest.mark.parametrize(
    ("claims", "name", "email"),
    [
        ({"preferred_username": "mnovak"}, "mnovak", None),
        ({"name": "", "email": "mn@example.org"}, "mn", "mn@example.org"),
        ({"email": "mn@example.org", "email_verified": False}, "user", None),
        ({"name": ["x"], "email": {"$ne": 1}}, "user", None),
        ({"name": "\ud800 M\u0000N " + "n" * 200}, "M N " + "n" * 76, None),
        ({}, "user", None),
    ],
)
async def test_a_new_user_is_named_by_what_the_claims_offer(
    authenticator: Authenticator, issuer: LocalIssuer, claims: dict[str, Any], name: str, email: str | None
) -> None:
    viewer = await authenticator.viewer(f"Bearer {issuer.token(**claims)}")

    user = await User.get(viewer.user_id)
    assert user is not None
    assert (user.display_name, user.email) == (name, email)


@pytest.mark.parametrize(
    ("claimed", "role"),
    [
        (None, Role.USER),
        ("USER", Role.USER),
        ("WORKER", Role.WORKER),
        ("ADMIN", Role.ADMIN),
        ("admin", Role.USER),
        ("ANONYMOUS", Role.USER),
        (["ADMIN"], Role.USER),
        ({"$ne": "USER"}, Role.USER),
    ],
)
async def test_only_the_claim_provenance_role_gives_a_role(
    authenticator: Authenticator, issuer: LocalIssuer, claimed: object, role: Role
) -> None:
    token = issuer.token(provenance_role=claimed, role="ADMIN", roles=["ADMIN"])

    assert (await authenticator.viewer(f"Bearer {token}")).role is role


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(issuer: LocalIssuer) -> str:
    return f"{encoded({'alg': 'none', 'typ': 'JWT', 'kid': 'rsa-1'})}.{encoded(issuer.claims())}."


def signed_with_the_public_key(issuer: LocalIssuer) -> str:
    public = issuer.keys["rsa-1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    content = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa-1'})}.{encoded(issuer.claims())}"
    signature = hmac.digest(public, content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def changed_after_signing(issuer: LocalIssuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{encoded(issuer.claims(provenance_role='ADMIN'))}.{signature}"


def signed_by_another(issuer: LocalIssuer) -> str:
    return issuer.token("rsa-1", rsa.generate_private_key(public_exponent=65537, key_size=2048))


def nested(issuer: LocalIssuer) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 100_000 + b"]" * 100_000 + b"}").decode()
    return f"{header}.{encoded(issuer.claims())}.AAAA"


FORGED = {
    "alg none": unsigned,
    "HS256 with the public key": signed_with_the_public_key,
    "changed after signing": changed_after_signing,
    "signed by another": signed_by_another,
    "the algorithm of another key": lambda issuer: issuer.token("rsa-1", issuer.keys["ec-1"]),
    "an unknown key": lambda issuer: issuer.token("rsa-2", issuer.keys["rsa-1"]),
    "no key named": lambda issuer: issuer.token("", issuer.keys["rsa-1"]),
    "another audience": lambda issuer: issuer.token(aud="another-server"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "another issuer": lambda issuer: issuer.token(iss="https://issuer.example"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 40),
    "no expiry": lambda issuer: issuer.token(exp=None),
    "not yet valid": lambda issuer: issuer.token(nbf=int(time.time()) + 60),
    "no subject": lambda issuer: issuer.token(sub=None),
    "an empty subject": lambda issuer: issuer.token(sub=""),
    "a long subject": lambda issuer: issuer.token(sub="s" * 256),
    "a subject that is no text": lambda issuer: issuer.token(sub="\ud800"),
    "a nested header": nested,
    "no JWT": lambda issuer: "a.b.c",
    "dots": lambda issuer: "..",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_jwt_that_proves_nothing_is_refused_without_a_reason_and_makes_no_user(
    authenticator: Authenticator, issuer: LocalIssuer, forge: Any
) -> None:
    refused = await refusal(authenticator, forge(issuer))

    assert (str(refused), refused.temporary) == (REFUSAL, False)
    assert await User.find({}).count() == 0


async def test_a_key_that_is_not_for_signing_verifies_nothing(
    authenticator: Authenticator, issuer: LocalIssuer
) -> None:
    issuer.use = "enc"

    refused = await refusal(authenticator, issuer.token())

    assert (str(refused), refused.temporary) == (REFUSAL, False)
    assert await User.find({}).count() == 0


async def test_a_key_that_does_not_say_what_it_is_for_verifies_tokens(
    authenticator: Authenticator, issuer: LocalIssuer
) -> None:
    issuer.use = None

    assert (await authenticator.viewer(f"Bearer {issuer.token()}")).role is Role.USER


async def test_clocks_may_differ_by_half_a_minute(authenticator: Authenticator, issuer: LocalIssuer) -> None:
    token = issuer.token(exp=int(time.time()) - 20, nbf=int(time.time()) + 20)

    assert (await authenticator.viewer(f"Bearer {token}")).role is Role.USER


async def test_a_flood_of_unknown_keys_asks_the_issuer_once_in_half_a_minute(
    authenticator: Authenticator, issuer: LocalIssuer, clock: Clock
) -> None:
    forged = [issuer.token(f"made-up-{number}", issuer.keys["ec-1"]) for number in range(50)]
    asked = []
    for seconds in (0, 29, 1):
        clock.move(seconds=seconds)
        await asyncio.gather(*(refusal(authenticator, token) for token in forged))
        asked.append(issuer.key_requests)

    assert asked == [1, 1, 2]


async def test_a_new_key_of_the_issuer_is_found_and_a_withdrawn_one_refused(
    authenticator: Authenticator, issuer: LocalIssuer, clock: Clock
) -> None:
    await authenticator.viewer(f"Bearer {issuer.token('ec-1')}")
    before = issuer.keys
    issuer.keys = {"rsa-2": before["rsa-1"]}
    try:
        clock.move(seconds=30)
        viewer = await authenticator.viewer(f"Bearer {issuer.token('rsa-2')}")
        withdrawn = await refusal(authenticator, issuer.token("ec-1", before["ec-1"]))
    finally:
        issuer.keys = before

    assert viewer.role is Role.USER
    assert str(withdrawn) == REFUSAL


@pytest.mark.parametrize(
    "manner", ["failing", "html", "list", "another", "keyless", "file", "moved", "huge", "compressed", "empty"]
)
async def test_a_broken_issuer_is_a_temporary_refusal_and_is_asked_again(
    authenticator: Authenticator, issuer: LocalIssuer, clock: Clock, manner: str
) -> None:
    issuer.manner = manner
    refused = await refusal(authenticator, issuer.token())
    issuer.manner = "good"
    too_soon = await refusal(authenticator, issuer.token())
    clock.move(seconds=5)

    assert (str(refused), refused.temporary) == ("The token's issuer does not answer at the moment.", True)
    assert too_soon.temporary
    assert (await authenticator.viewer(f"Bearer {issuer.token()}")).role is Role.USER


async def test_an_issuer_that_is_not_there_is_a_temporary_refusal(issuer: LocalIssuer) -> None:
    # Nothing listens on port 9 (discard) of a machine that runs tests.
    alone = Authenticator(oidc_issuer="http://127.0.0.1:9", oidc_audience=AUDIENCE)

    assert (await refusal(alone, issuer.token())).temporary


async def test_an_outage_of_the_issuer_is_bridged_for_an_hour(
    authenticator: Authenticator, issuer: LocalIssuer, clock: Clock
) -> None:
    viewer = await authenticator.viewer(f"Bearer {issuer.token()}")
    issuer.manner = "failing"

    clock.move(minutes=59)
    assert await authenticator.viewer(f"Bearer {issuer.token()}") == viewer
    clock.move(minutes=1)
    assert (await refusal(authenticator, issuer.token())).temporary


async def test_a_slow_issuer_holds_up_neither_others_nor_the_patience_of_a_request(
    authenticator: Authenticator, issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.silent = True
    waiting = asyncio.create_task(authenticator.viewer(f"Bearer {issuer.token()}"))

    for _ in range(20):
        await asyncio.sleep(0.01)
        assert await authenticator.viewer(f"Bearer {ADMIN_TOKEN}") == Viewer(Role.ADMIN)
    assert not waiting.done()
    with monkeypatch.context() as hurried:
        hurried.setattr(jwks, "KEY_TIMEOUT", 0.1)
        assert (await refusal(authenticator, issuer.token())).temporary
    assert not waiting.done()

    issuer.silent = False
    assert (await waiting).role is Role.USER
    assert (await authenticator.viewer(f"Bearer {issuer.token()}")).role is Role.USER
    assert issuer.key_requests == 1


@pytest.mark.parametrize("address", ["http://issuer.example", "ftp://issuer.example", "issuer.example", "https://", ""])
def test_an_issuer_has_a_safe_address(address: str) -> None:
    with pytest.raises(ValueError, match="neither an https:// address nor a local one"):
        oidc.Issuer(address, AUDIENCE)


def test_an_issuer_needs_an_audience() -> None:
    with pytest.raises(ValueError, match="needs an audience"):
        Authenticator(oidc_issuer="https://issuer.example")
