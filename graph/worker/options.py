"""What a worker is told."""

import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("STEP", "TRANSFORM")
URL, TOKEN = "PROVENANCE_URL", "PROVENANCE_TOKEN"


class Misused(Exception):
    """Nothing can be done until a person changes something; the message says what."""


class NotTaken(Misused):
    """The server does not take what was asked: it is of another release, or a value is one that it never takes."""


@dataclass(frozen=True)
class Options:
    """Where the server is, what to run, and how."""

    url: str
    token: str = field(repr=False)
    command: str
    kinds: tuple[str, ...] = KINDS
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    lease: int = 60
    at_once: int = 1
    once: bool = False
    until_idle: bool = False
    poll: float = 2.0
    directory: Path | None = None
    keep: bool = False
    retry_on: tuple[int, ...] = (os.EX_TEMPFAIL,)
    pass_token: bool = False

    @property
    def waits(self) -> bool:
        """Whether it goes on when nothing waits."""
        return not (self.once or self.until_idle)


def graphql_address(url: str) -> str:
    """Where requests go, of a server's address with or without its path. Raises Misused."""
    address = url.strip().rstrip("/")
    if not re.match(r"https?://[^/\s@]+(/\S*)?$", address):
        raise Misused(f"{URL} must be an address such as https://graph.example, without a user name.")
    return address if address.endswith("/graphql") else f"{address}/graphql"
