"""The options of a worker."""

import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from graph.clients.worker.exit_codes import TRY_AGAIN

KINDS = ("STEP", "TRANSFORM")
URL, TOKEN = "PROVENANCE_URL", "PROVENANCE_TOKEN"


class ConfigurationError(Exception):
    """The worker cannot go on until a person changes something; the message says what to change."""


class IncompatibleServer(ConfigurationError):
    """The server refuses the request for good: it is of another release, or a value is invalid."""


def default_name() -> str:
    """A name that no other worker has at the same time."""
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True)
class Options:
    """The options of a worker: its server, its command, and how it works."""

    url: str
    token: str = field(repr=False)
    command: str
    kinds: tuple[str, ...] = KINDS
    name: str = field(default_factory=default_name)
    lease: int = 60
    at_once: int = 1
    once: bool = False
    until_idle: bool = False
    poll: float = 2.0
    directory: Path | None = None
    keep: bool = False
    retry_on: tuple[int, ...] = (TRY_AGAIN,)
    retry_within: float = 600.0
    connect_within: float = 60.0
    pause: float = 5.0
    pass_token: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None

    @property
    def waits(self) -> bool:
        """Whether the worker keeps waiting when nothing is available."""
        return not (self.once or self.until_idle)


def graphql_address(url: str) -> str:
    """The address for GraphQL requests, of a server's address with or without its path. Raises ConfigurationError."""
    address = url.strip().rstrip("/")
    if not re.match(r"https?://[^/\s@]+(/\S*)?$", address):
        raise ConfigurationError(f"{URL} must be an address such as https://graph.example, without a user name.")
    return address if address.endswith("/graphql") else f"{address}/graphql"
