"""The server's application, as it starts."""

from pathlib import Path
from typing import Any

import pytest

from graph.server.assemble import make_app
from graph.settings import load_settings
from tests.bench.servers import free_port


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


async def test_a_database_that_fails_while_a_process_starts_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENANCE_DATA_DIR", str(tmp_path))
    settings = load_settings()
    url = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=100"

    failed, raised = await lifespan_messages(make_app(settings, url, None))

    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith("The database does not answer: 127.0.0.1:")
    assert "Traceback" not in failed["message"]
    assert raised == {"raised": "StartError"}
