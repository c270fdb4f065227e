"""Sockets when the server stops, and when its database goes away: they are closed in time, with a code to come back."""

import signal
import time
from pathlib import Path

import pytest

from documents.activity import ActivityStatus
from documents.database import make_client, open_database
from documents.embedded import Embedded
from tests.graph.subscriptions.follower import EXECUTION, LOGS, follower
from tests.graph.subscriptions.world import a_world
from tests.running import COMMAND, on_database, running

EXIT_WITHIN = 8.5


@pytest.mark.timeout(180)
async def test_a_stopping_server_says_goodbye_and_a_lost_database_sends_clients_away(fast_directory: Path) -> None:
    directory = fast_directory / "stopping"
    with Embedded.start(directory) as embedded:
        client = make_client(embedded.uri)
        await client.aconnect()
        await open_database(client["stopping"])
        world = await a_world()
        env = on_database(embedded.uri, "stopping")

        with running(*COMMAND, "serve", env=env) as server:
            async with follower(server) as one, follower(server) as idle:
                await one.follow(EXECUTION, id=world.execution.id)
                await one.follow(LOGS, "2", id=world.steps[0].id)
                await one.next()
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                codes = [(await one.closed())[0], (await idle.closed())[0]]
                status = server.process.wait(EXIT_WITHIN)
            seconds = time.monotonic() - began
            log = server.log

        with running(*COMMAND, "serve", env=env) as server:
            async with follower(server) as one:
                await one.follow(EXECUTION, id=world.execution.id)
                await one.next()
                embedded.stop()
                lost = await one.closed(40)
            again = Embedded.start(directory, port=embedded.port)
            embedded.__dict__.update(again.__dict__)
            async with follower(server) as one:
                await one.follow(EXECUTION, id=world.execution.id)
                await one.next()
                await world.set_step(0, ActivityStatus.RUNNING)
                back = await one.next()
        await client.close()

    assert (codes, status) == ([1012, 1012], 0)
    assert seconds < EXIT_WITHIN
    assert "Traceback" not in log
    assert lost == (1013, "The database does not answer.")
    assert back["steps"]["nodes"][0]["status"] == "RUNNING"
