"""Following in GraphiQL, in a real browser: over a WebSocket of the same origin, with the page's token."""

import json

import pytest

from documents.activities.activity import ActivityStatus
from tests.browser.chromium import Page
from tests.browser.graphiql import ANSWER, QUERY, RUN, ready
from tests.graph.websocket.subscriptions.world import a_world
from tests.support.running import Running


@pytest.mark.usefixtures("elsewhere")
async def test_a_tab_of_graphiql_shows_each_state_of_a_private_execution(faulty_server: Running, page: Page) -> None:
    world = await a_world(public=False)
    query = f'subscription Watch {{ execution(id: "{world.execution.id}") {{ status }} }}'
    await ready(page, f"{faulty_server.url}/#token={faulty_server.token}")
    await page.evaluate(f"{QUERY}.setValue({json.dumps(query)})")
    await page.until(f"{QUERY}.operationName === 'Watch'")

    await page.evaluate(RUN)
    await page.until(f"({ANSWER})?.includes('PENDING')")
    first = json.loads(await page.evaluate(ANSWER))
    await world.set_execution(status=ActivityStatus.RUNNING)
    await page.until(f"({ANSWER})?.includes('RUNNING')")
    await world.set_execution(status=ActivityStatus.SUCCEEDED)
    await page.until(f"({ANSWER})?.includes('SUCCEEDED')")
    last = json.loads(await page.evaluate(ANSWER))

    assert first == {"data": {"execution": {"status": "PENDING"}}}
    assert last == {"data": {"execution": {"status": "SUCCEEDED"}}}
