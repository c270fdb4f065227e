"""Sockets when the server stops, which closes them, and when its database goes away, which ends what they follow."""

import signal
from pathlib import Path

import pytest

from documents.activities.activity import ActivityStatus
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import make_client, open_database
from graph.server.run import FORCED_EXIT_TIMEOUT
from tests.graph.websocket.subscriptions.world import a_world
from tests.support.follower import EXECUTION, LOGS, follower
from tests.support.patience import within
from tests.support.running import COMMAND, on_database, running


@pytest.mark.timeout(within(180))
async def test_a_stopping_server_says_goodbye_and_a_lost_database_ends_what_is_followed(fast_directory: Path) -> None:
    directory = fast_directory / "stopping"
    with EmbeddedMongo.start(directory) as embedded:
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
                server.process.send_signal(signal.SIGTERM)
                codes = [(await one.wait_for_close())[0], (await idle.wait_for_close())[0]]
                status = server.process.wait(within())
            log = server.log

        with running(*COMMAND, "serve", env=env) as server:
            async with follower(server) as one:
                await one.follow(EXECUTION, id=world.execution.id)
                await one.next()
                embedded.stop()
                (*_, lost, end) = await one.rest()
            again = EmbeddedMongo.start(directory, port=embedded.port)
            embedded.__dict__.update(again.__dict__)
            async with follower(server) as one:
                await one.follow(EXECUTION, id=world.execution.id)
                await one.next()
                await world.set_step(0, ActivityStatus.RUNNING)
                back = await one.next()
        await client.close()

    # By its own clock it has ended in time, else its status were another.
    assert FORCED_EXIT_TIMEOUT < 8.5
    assert (codes, status) == ([1012, 1012], 0)
    assert "Traceback" not in log
    assert [error["extensions"] for error in lost["payload"]["errors"]] == [{"code": "UNAVAILABLE"}]
    assert end["type"] == "complete"
    assert back["steps"]["nodes"][0]["status"] == "RUNNING"
