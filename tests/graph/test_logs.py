"""The line about each answer: short to make, and no place for secrets."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import httpx2
import pytest
from pydantic import SecretStr

from graph import logs
from graph.settings import Environment, Settings

SECRET = "an-administrators-token-of-some-length"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture
def production() -> Iterator[io.StringIO]:
    """The log in production format; the logging of the test run is restored afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream, url = io.StringIO(), SecretStr("mongodb://h/")
    settings = Settings(env=Environment.PRODUCTION, database_url=url, admin_token=SecretStr(SECRET))
    logs.configure_logs(settings, stream)
    yield stream
    logs.access_log.use_structlog()
    root.handlers[:] = before
    root.setLevel(level)


def tell(level: int = logging.INFO, path: str = "/graphql", *, harmless: bool = True) -> None:
    logs.access_log(level, logs.AccessRecord("POST", path, 200, 0.0015, harmless))


def test_the_line_of_an_answer_has_the_form_of_all_others(production: io.StringIO) -> None:
    token = logs.request_id.set("id-1")
    tell()
    logging.getLogger("graph.other").info("answered")
    logs.request_id.reset(token)

    answered, other = map(json.loads, production.getvalue().splitlines())
    assert answered.keys() - other.keys() == {"method", "path", "status", "ms"}
    assert {name: answered[name] for name in ("severity", "message", "requestId", "path", "status", "ms")} == {
        "severity": "INFO",
        "message": "answered",
        "requestId": "id-1",
        "path": "/graphql",
        "status": 200,
        "ms": 1.5,
    }
    assert (answered["time"][:16], answered["time"][-1]) == (other["time"][:16], other["time"][-1])


def test_secrets_that_a_client_put_into_the_path_are_taken_out(production: io.StringIO) -> None:
    tell(path=f"/{SECRET}/{JWT}", harmless=False)

    assert json.loads(production.getvalue())["path"] == "/[removed]/[removed]"


def test_lines_below_the_level_are_not_written(production: io.StringIO) -> None:
    tell(logging.DEBUG)

    assert production.getvalue() == ""


async def test_requests_that_the_server_sends_are_not_logged(production: io.StringIO) -> None:
    ok = httpx2.MockTransport(lambda request: httpx2.Response(200))

    async with httpx2.AsyncClient(transport=ok) as client:
        await client.get("https://issuer.example/keys?code=secret")

    assert production.getvalue() == ""


async def test_lines_of_one_moment_are_written_together_and_none_is_lost(production: io.StringIO) -> None:
    tell(path="/one")
    tell(path="/two")
    at_once = production.getvalue()
    await asyncio.sleep(5 * logs.MAX_FLUSH_DELAY)
    a_moment_later = production.getvalue()
    tell(path="/three")
    logs.access_log.flush()
    await asyncio.sleep(5 * logs.MAX_FLUSH_DELAY)

    assert at_once == ""
    assert [json.loads(line)["path"] for line in a_moment_later.splitlines()] == ["/one", "/two"]
    assert [json.loads(line)["path"] for line in production.getvalue().splitlines()] == ["/one", "/two", "/three"]


def test_a_stream_that_takes_nothing_fails_no_answer(
    production: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(text: str) -> int:
        raise OSError(28, "No space left on device")

    production.write = full  # type: ignore[method-assign]
    tell()
    del production.write

    assert "No space left on device" in capsys.readouterr().err
    tell()
    assert production.getvalue().count("\n") == 1
