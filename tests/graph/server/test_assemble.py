"""The server's application, as it starts."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
from pymongo.errors import AutoReconnect

from graph.server import assemble
from graph.settings import load_settings


async def lifespan_messages(app: Any) -> list[dict[str, Any]]:
    """The messages of an application that starts, and is told to stop once it has."""
    sent: list[dict[str, Any]] = []
    received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, Any]:
        return next(received)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await app({"type": "lifespan", "state": {}}, receive, send)
    except Exception as error:
        sent.append({"raised": type(error).__name__})
    return sent


def killed(url: str, name: str, *, seconds: float) -> NoReturn:
    """A connection to a database that ends in this moment."""
    raise AutoReconnect("127.0.0.1:27017: [Errno 104] Connection reset by peer")


async def test_a_database_that_fails_while_a_process_starts_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENANCE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(assemble, "connect", killed)

    failed, raised = await lifespan_messages(assemble.make_app(load_settings(), "mongodb://127.0.0.1", None))

    sentence = "The database failed: 127.0.0.1:27017: [Errno 104] Connection reset by peer."
    assert failed == {"type": "lifespan.startup.failed", "message": sentence}
    assert raised == {"raised": "StartError"}
