"""GraphiQL when something is wrong: the page says in words what it is, and goes on once it is right again."""

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from uuid import uuid4

import pytest

from documents.access.token import Token
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, Database, open_database
from tests.browser.chromium import Page
from tests.browser.graphiql import (
    ANSWER,
    PILL,
    RUN,
    SPINNER,
    STATUS,
    paste_token,
    press,
    ready,
    run,
    schema_is_read,
    set_headers,
    write,
)
from tests.browser.relay import RETRY_AFTER, Relay, Way, relay
from tests.graph.websocket.subscriptions.world import World, a_world
from tests.support.patience import until_awaited
from tests.support.running import COMMAND, Running, command, environment, on_database, running
from tests.support.tokens import make_token, revoke

INVALID = "The token is invalid, has expired or was revoked."
REFUSED = f"Token refused. {INVALID} Paste another token, or forget this one to go on anonymously."
HURRY = """
for (const name of ["setTimeout", "setInterval"]) {
  const real = window[name];
  window[name] = (run, after, ...rest) => real(run, after / 20, ...rest);
}
const begun = Date.now(), now = Date.now;
Date.now = () => begun + (now() - begun) * 20;
const timeout = AbortSignal.timeout;
AbortSignal.timeout = (after) => timeout.call(AbortSignal, after / 20);
"""
"""Lets the time of a page pass 20 times as fast."""


@pytest.fixture
async def way(faulty_server: Running) -> AsyncIterator[Relay]:
    """The way to the faulty server, which can be disturbed."""
    async with relay(faulty_server) as opened:
        yield opened


@pytest.fixture
async def elsewhere(client: Client, faulty_server: Running) -> Database:
    """The database of the faulty server."""
    database = client["test_altered"]
    await open_database(database, indexes=False)
    return database


async def error_message(page: Page) -> str:
    """Wait until no answer is pending; returns the message of the error that is shown."""
    await page.until(f"!!({ANSWER}) && !{SPINNER}")
    answer = json.loads(await page.evaluate(ANSWER))
    assert list(answer) == ["errors"], answer
    (error,) = answer["errors"]
    return str(error["message"])


def watching(world: World) -> str:
    return f'subscription Watch {{ execution(id: "{world.execution.id}") {{ status }} }}'


async def test_a_bad_token_shows_at_once_and_the_page_goes_on_without_it(page: Page, faulty_server: Running) -> None:
    await page.open(f"{faulty_server.url}/#token=pg_wrong")

    await page.until(f"document.querySelector('.graph-token') && {PILL} === 'Token refused'")
    said = await page.evaluate(STATUS)
    await press(page, "Token refused")
    await page.until("document.querySelector('.graph-token form')?.innerText.includes('refuses this token')")
    await press(page, "Forget it")
    await schema_is_read(page)

    assert said == REFUSED
    assert await page.evaluate(PILL) == "No token"
    assert await page.evaluate(STATUS) == ""
    assert list(await run(page)) == ["data"]


async def test_a_token_that_cannot_be_sent_is_refused_in_words(page: Page, faulty_server: Running) -> None:
    await ready(page, faulty_server.url)

    await paste_token(page, "“pg_quoted”")
    await page.until(f"{PILL} === 'Token refused'")

    assert (await page.evaluate(STATUS)).startswith(
        "Token refused. It contains a space, or a character that no token has."
    )
    await page.evaluate(RUN)
    assert (await error_message(page)).startswith("The request was not sent: the token contains")


@pytest.mark.usefixtures("elsewhere")
async def test_a_subscription_with_a_bad_token_ends_in_words_and_not_in_a_spinner(
    page: Page, faulty_server: Running
) -> None:
    await ready(page, faulty_server.url)
    await paste_token(page, "pg_wrong")
    await write(page, "subscription Told { role }", "Told")

    await page.evaluate(RUN)
    message = await error_message(page)
    await paste_token(page, faulty_server.token)
    await page.until(f"{PILL} === 'Token in use'")

    assert message == f"The server ended the subscription, because it does not accept the token: {INVALID}"
    assert await run(page) == {"data": {"role": "ADMIN"}}
    await page.until(f"{STATUS} === ''")


async def test_a_subscription_that_is_not_valid_shows_the_errors_of_the_server(
    page: Page, faulty_server: Running
) -> None:
    await ready(page, faulty_server.url)
    await write(page, "subscription Told { roles }", "Told")

    await page.evaluate(RUN)

    assert (await error_message(page)).startswith("Cannot query field 'roles' on type 'Subscription'.")
    assert await page.evaluate(STATUS) == ""


async def test_the_headers_editor_takes_the_place_of_the_token_on_subscriptions_too(
    page: Page, faulty_server: Running
) -> None:
    await ready(page, f"{faulty_server.url}/#token={faulty_server.token}")
    await page.until(f"{PILL} === 'Token in use'")
    await write(page, "subscription Told { role }", "Told")
    await set_headers(page, {"authorization": "Bearer other"})

    await page.evaluate(RUN)

    assert INVALID in await error_message(page)
    assert await page.evaluate(PILL) == "Token in use"


@pytest.mark.usefixtures("elsewhere")
async def test_a_token_that_has_expired_shows_with_the_next_request_and_when_the_page_is_seen_again(
    page: Page, faulty_server: Running
) -> None:
    token, secret = await make_token("ADMIN", name="for a while")
    await ready(page, f"{faulty_server.url}/#token={secret}")
    await page.until(f"{PILL} === 'Token in use'")
    await write(page, "query Hello { hello }", "Hello")

    await Token.get_pymongo_collection().update_one({"_id": token.id}, {"$set": {"expires_at": now()}})
    await page.evaluate(RUN)
    message = await error_message(page)
    await page.until(f"{PILL} === 'Token refused'")
    said = await page.evaluate(STATUS)
    await Token.get_pymongo_collection().update_one({"_id": token.id}, {"$set": {"expires_at": None}})
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.until(f"{PILL} === 'Token in use'")

    assert (message, said) == (INVALID, REFUSED)
    assert await page.evaluate(STATUS) == ""


@pytest.mark.usefixtures("elsewhere")
async def test_a_token_that_is_revoked_ends_a_running_subscription_in_words(page: Page, faulty_server: Running) -> None:
    world = await a_world(public=False)
    token, secret = await make_token("ADMIN", name="for a while")
    await ready(page, f"{faulty_server.url}/#token={secret}")
    await write(page, watching(world), "Watch")
    await page.evaluate(RUN)
    await page.until(f"({ANSWER})?.includes('PENDING')")
    waiting = await page.evaluate(STATUS)

    await revoke(token.id)
    await world.set_execution(status=ActivityStatus.RUNNING)
    await page.until(f"({ANSWER})?.includes('errors')")

    assert waiting == "The subscription waits for changes. Press the stop button to end it."
    assert await error_message(page) == (
        f"The server ended the subscription, because it does not accept the token: {INVALID}"
    )
    assert await page.evaluate(PILL) == "Token refused"
    assert await page.evaluate(STATUS) == REFUSED


@pytest.mark.usefixtures("elsewhere")
async def test_another_token_is_used_for_a_running_subscription_at_once(page: Page, faulty_server: Running) -> None:
    world = await a_world(public=False)
    await ready(page, f"{faulty_server.url}/#token={faulty_server.token}")
    await write(page, watching(world), "Watch")
    await page.evaluate(RUN)
    await page.until(f"({ANSWER})?.includes('PENDING')")

    await press(page, "Token in use")
    await page.until("!!document.querySelector('.graph-token form')")
    await press(page, "Forget it")
    await page.until(f"({ANSWER})?.includes('errors')")

    answer = json.loads(await page.evaluate(ANSWER))
    assert answer["data"] is None
    assert [error["extensions"] for error in answer["errors"]] == [{"code": "NOT_FOUND"}]


async def test_a_server_that_is_away_is_noticed_and_so_is_its_return(
    page: Page, way: Relay, faulty_server: Running
) -> None:
    await ready(page, f"{way.url}/#token={faulty_server.token}")
    await write(page, "query Hello { hello }", "Hello")

    way.turn(Way.CLOSED)
    await page.evaluate(RUN)
    message = await error_message(page)
    said = await page.until(STATUS)
    way.turn(Way.OPEN)
    await page.until(f"({STATUS}) === 'The server answers again.'")

    assert message.startswith("The request did not reach 127.0.0.1:")
    assert said == "The server cannot be reached. This page keeps checking until it answers again."
    assert await run(page) == {"data": {"hello": "world"}}
    assert await page.evaluate(PILL) == "Token in use"


async def test_a_busy_server_is_told_in_words_and_asked_again_when_it_says(page: Page, way: Relay) -> None:
    await ready(page, way.url)
    await write(page, "query Hello { hello }", "Hello")

    way.turn(Way.BUSY)
    await page.evaluate(RUN)
    message = await error_message(page)
    said = await page.until(STATUS)
    await until_awaited(lambda: refused_times(way, 2))
    way.turn(Way.OPEN)
    await page.until(f"({STATUS}) === 'The server answers again.'")

    assert message == "The server is busy."
    assert said == "The server cannot answer now: The server is busy. This page keeps checking until it answers again."
    assert min(later - earlier for earlier, later in pairwise(way.refused_at)) >= RETRY_AFTER
    assert await run(page) == {"data": {"hello": "world"}}


async def test_a_server_that_is_not_ready_says_why_and_the_page_begins_once_it_is(
    page: Page, mongod: EmbeddedMongo, client: Client
) -> None:
    name = f"unready_{uuid4().hex}"
    env = on_database(mongod.uri, name) | {"PROVENANCE_ENV": "production"}
    with running(*COMMAND, "serve", env=env) as server:
        await page.open(f"{server.url}/#token={server.token}")
        await page.until(f"document.querySelector('.graph-bar') && ({STATUS}).includes('cannot answer')")
        said, pill = await page.evaluate(STATUS), await page.evaluate(PILL)
        migrated = command("migrate", env=environment(server.directory, env))
        await schema_is_read(page)
        await page.until(f"{PILL} === 'Token in use'")
        answer = await run(page)
    await client.drop_database(name)

    assert migrated.returncode == 0, migrated.stderr
    assert said == (
        "The server cannot answer now: The database is empty and has no indexes: run `provenance-graph migrate`. "
        "This page keeps checking until it answers again."
    )
    assert pill == "Token not checked"
    assert answer == {"data": {"organisations": {"nodes": []}}}


async def test_a_websocket_that_cannot_be_opened_is_told_in_words(
    page: Page, way: Relay, faulty_server: Running
) -> None:
    await ready(page, f"{way.url}/#token={faulty_server.token}")
    await write(page, "subscription Told { role }", "Told")

    way.turn(Way.NO_WEBSOCKETS)
    await page.evaluate(RUN)
    said = await page.until(STATUS)
    message = await error_message(page)
    refused = len(way.refused_at)
    after = await page.evaluate(STATUS)
    way.turn(Way.OPEN)

    why = (
        f"No WebSocket to {way.url.replace('http', 'ws')}/graphql could be opened, although the server answers over "
        "HTTP. A proxy on the way may not let WebSockets through, or the server has as many of them as it can."
    )
    assert said == f"{why} This page tries again by itself."
    assert message == why
    assert refused == 3
    assert after == ""
    assert await run(page) == {"data": {"role": "ADMIN"}}


@pytest.mark.usefixtures("elsewhere")
async def test_a_subscription_goes_on_after_its_connection_was_lost(page: Page, way: Relay) -> None:
    world = await a_world()
    await ready(page, way.url)
    await write(page, watching(world), "Watch")
    await page.evaluate(RUN)
    await page.until(f"({ANSWER})?.includes('PENDING')")

    way.turn(Way.CLOSED)
    lost = await page.until(f"({STATUS}).includes('lost') && {STATUS}")
    shown = await page.evaluate(ANSWER)
    await page.until(f"({STATUS}).includes('cannot reach the server')")
    await world.set_execution(status=ActivityStatus.RUNNING)
    way.turn(Way.OPEN)
    await page.until(f"({ANSWER})?.includes('RUNNING')")
    said = await page.evaluate(STATUS)
    await world.set_execution(status=ActivityStatus.SUCCEEDED)
    await page.until(f"({ANSWER})?.includes('SUCCEEDED')")
    await page.until("document.querySelector('.graphiql-execute-button').ariaLabel.includes('Execute')")

    assert lost == "The connection of the subscription was lost. This page tries again by itself."
    assert "PENDING" in shown
    assert "The subscription waits for changes." in said


@pytest.mark.usefixtures("elsewhere")
async def test_a_server_that_hangs_ends_neither_a_query_nor_a_subscription_in_a_spinner(page: Page, way: Relay) -> None:
    world = await a_world()
    await page.before_scripts(HURRY)
    await ready(page, way.url)
    await write(page, watching(world), "Watch")
    await page.evaluate(RUN)
    await page.until(f"({ANSWER})?.includes('PENDING')")

    way.hang()
    await page.until(f"({STATUS}).includes('The connection of the subscription was lost.')")
    await press_stop(page)
    await write(page, "query Hello { hello }", "Hello")
    await page.evaluate(RUN)
    message = await error_message(page)
    way.flow()
    await page.until(f"({STATUS}).includes('The server answers again.')")

    assert message == f"{way.url.removeprefix('http://')} did not answer within 60 s."
    assert await run(page) == {"data": {"hello": "world"}}


async def refused_times(way: Relay, times: int) -> bool:
    return len(way.refused_at) >= times


async def press_stop(page: Page) -> None:
    """Ends the subscription that runs."""
    await page.evaluate(RUN)
    await page.until("document.querySelector('.graphiql-execute-button').ariaLabel.includes('Execute')")
