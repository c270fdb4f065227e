"""A real OpenID Connect issuer on this machine, whose keys and manners a test decides."""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.patience import until

AUDIENCE = "provenance-graph"
SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class LocalIssuer:
    """An issuer over HTTP: it signs tokens, publishes its keys, counts who asks for them, and can misbehave."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self.keys: dict[str, SigningKey] = {
            "rsa-1": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ec-1": ec.generate_private_key(ec.SECP256R1()),
        }
        self.use: str | None = "sig"
        """The `use` of the published keys; None leaves it out."""
        self.manner = "good"
        self.silent = False
        """Whether it answers nobody for now."""
        self.key_requests = 0
        self.keys_in_a_file = folder / "keys.json"
        self.keys_in_a_file.write_text(json.dumps(self.jwks()))

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims that are accepted, with changes; a claim changed to None is left out."""
        at = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "subject-1", "iat": at, "exp": at + 600, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key_id: str = "rsa-1", key: SigningKey | None = None, **changes: Any) -> str:
        """A signed token."""
        key = key or self.keys[key_id]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": key_id})

    def jwks(self) -> dict[str, Any]:
        """The public keys, as RFC 7517 writes them."""
        use = {} if self.use is None else {"use": self.use}
        return {"keys": [{**public_jwk(key), "kid": key_id, **use} for key_id, key in self.keys.items()]}

    async def redirect(self, request: Request) -> Response:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def configuration(self, request: Request) -> Response:
        while self.silent:
            await asyncio.sleep(0.01)
        good = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        answers: dict[str, Response] = {
            "failing": Response("no", status_code=500),
            "html": Response("<html>"),
            "list": JSONResponse([]),
            "another": JSONResponse({**good, "issuer": "https://issuer.example"}),
            "keyless": JSONResponse({"issuer": self.url}),
            "file": JSONResponse({**good, "jwks_uri": self.keys_in_a_file.as_uri()}),
            "moved": RedirectResponse(f"{self.url}/moved"),
            "huge": JSONResponse({**good, "padding": " " * 1_100_000}),
            "compressed": Response(gzip.compress(json.dumps(good).encode()), headers={"Content-Encoding": "gzip"}),
        }
        return answers.get(self.manner, JSONResponse(good))

    async def published_keys(self, request: Request) -> Response:
        self.key_requests += 1
        return JSONResponse({"keys": []} if self.manner == "empty" else self.jwks())


def public_jwk(key: SigningKey) -> dict[str, Any]:
    """The public half of a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True)


@contextmanager
def running_issuer(folder: Path) -> Iterator[LocalIssuer]:
    """An issuer that answers on a free port of this machine until the block ends; `folder` is its to write in."""
    issuer = LocalIssuer(folder)
    routes = [
        Route("/.well-known/openid-configuration", issuer.configuration),
        Route("/keys", issuer.published_keys),
        Route("/moved", issuer.redirect),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    # A signal to the tests is not for the issuer, which runs outside the main thread and so installs no handlers.
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        host, port = server.servers[0].sockets[0].getsockname()
        issuer.url = f"http://{host}:{port}"
        yield issuer
    finally:
        server.should_exit = True
        thread.join()
