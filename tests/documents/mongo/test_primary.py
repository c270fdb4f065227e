"""Without a primary nobody waits long: once for an election, and then not at all."""

import time
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo import fast_find, topology
from documents.mongo.database import make_client
from documents.outage import Outage, outage_of
from tests.support.patience import until_awaited, within
from tests.support.suspension import suspended

NOBODY = "mongodb://127.0.0.1:1/?replicaSet=nobody"
REQUEST = within()
"""Seconds that a request has for all that it asks of the database."""


async def test_who_asks_first_waits_for_an_election_and_who_asks_later_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topology, "ELECTION_TIMEOUT", 1.0)
    seconds, left = [], []
    # By itself the driver would wait for so long, each time.
    async with make_client(f"{NOBODY}&serverSelectionTimeoutMS={1000 * REQUEST:.0f}") as client:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(ServerSelectionTimeoutError), pymongo.timeout(REQUEST):
                await client.admin.command("ping")
            seconds.append(time.monotonic() - began)
            left.append(client._topology.get_server_selection_timeout())

    assert seconds[0] > 0.9
    assert max(seconds) < REQUEST / 2
    assert left == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("by", ["the driver", "a borrowed connection"])
async def test_a_server_that_hangs_is_given_up_before_the_time_of_the_request_is_over(
    fast_directory: Path, by: str
) -> None:
    with EmbeddedMongo.start(fast_directory / "hanging") as embedded:
        async with make_client(embedded.uri) as client:
            things = client["hanging"].things
            await things.replace_one({"_id": "a"}, {}, upsert=True)
            with suspended(embedded.pid):
                began = time.monotonic()
                with pytest.raises(PyMongoError) as raised, pymongo.timeout(REQUEST):
                    await _row(things, by)
                took = time.monotonic() - began
            found = await until_awaited(lambda: _again(things))

    assert outage_of(raised.value) is Outage.UNAVAILABLE
    assert took < REQUEST / 2
    assert found == {"_id": "a"}


async def _row(things: Any, by: str) -> Any:
    rows = await fast_find.find_rows(things, {"filter": {"_id": "a"}}) if by == "a borrowed connection" else None
    return await things.find_one({"_id": "a"}) if rows is None else rows[0]


async def _again(things: Any) -> Any:
    """The row once the monitor has seen that the server is back, None before."""
    try:
        with pymongo.timeout(REQUEST):
            return await things.find_one({"_id": "a"})
    except ServerSelectionTimeoutError:
        return None


async def test_the_url_may_say_how_long_servers_are_waited_for() -> None:
    client = make_client(f"{NOBODY}&connectTimeoutMS=1234")

    assert client.options.pool_options.connect_timeout == 1.234
    assert client._topology_settings.heartbeat_frequency == 1.0
