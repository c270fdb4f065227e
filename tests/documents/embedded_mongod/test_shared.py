"""A database that another process runs: found, used, and left when it stops."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from documents.embedded_mongod.address import Address, read_address, remove_address, write_address
from documents.embedded_mongod.errors import EmbeddedError
from documents.embedded_mongod.server import EmbeddedMongo
from documents.embedded_mongod.shared import join, withdraw
from tests.support.patience import until_awaited


@pytest.fixture
def data_dir(mongod: EmbeddedMongo, fast_directory: Path, tmp_path: Path) -> Path:
    """A directory from which the database of all tests is found as one of its own."""
    for name in ("address", "password"):
        (tmp_path / name).write_text((fast_directory / "mongod" / name).read_text())
    return tmp_path


def address_in(data_dir: Path) -> Address:
    address = read_address(data_dir)
    assert address is not None
    return address


def test_the_address_of_a_running_database_is_readable_by_its_owner_alone(
    mongod: EmbeddedMongo, fast_directory: Path
) -> None:
    file = fast_directory / "mongod" / "address"

    address = address_in(fast_directory / "mongod")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (address.owner, address.port) == (os.getpid(), mongod.port)


def test_a_running_database_is_joined_with_its_credentials(mongod: EmbeddedMongo, data_dir: Path) -> None:
    with join(data_dir) as shared:
        assert shared is not None
        with MongoClient[dict[str, Any]](shared.uri) as client:
            client.shared.things.insert_one({"_id": "thing_1"})
            found = client.shared.things.find_one_and_delete({})

    assert shared.uri == mongod.uri
    assert shared.is_running()
    assert found == {"_id": "thing_1"}


def test_no_database_is_joined_where_none_runs(tmp_path: Path) -> None:
    with join(tmp_path / "nowhere") as shared:
        assert shared is None


@pytest.mark.parametrize(
    "change", [{"process_id": "0" * 24}, {"port": 1}, {"owner": 2**22 + 1}], ids=["process", "port", "owner"]
)
def test_nothing_signs_in_to_a_process_that_was_not_started_there(data_dir: Path, change: dict[str, Any]) -> None:
    address = address_in(data_dir)
    write_address(data_dir, Address(**{**vars(address), **change}))

    with join(data_dir) as shared:
        assert shared is None


@asynccontextmanager
async def joined(data_dir: Path) -> AsyncIterator[None]:
    with join(data_dir) as shared:
        assert shared is not None
        async with shared.end_with_owner():
            yield


async def test_a_command_ends_with_a_sentence_when_the_database_is_about_to_stop(data_dir: Path) -> None:
    async def run() -> None:
        async with joined(data_dir):
            remove_address(data_dir)
            await asyncio.sleep(60)

    with pytest.raises(EmbeddedError) as ended:
        await run()

    assert str(ended.value) == (
        f"The database in {data_dir} stopped, which process {os.getpid()} ran, so this command ended early: "
        "run it again to do the rest."
    )


async def test_a_command_that_takes_its_cancellation_for_a_signal_ends_with_that_sentence_too(data_dir: Path) -> None:
    async def run() -> None:
        async with joined(data_dir):
            remove_address(data_dir)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    with pytest.raises(EmbeddedError, match="stopped, which process"):
        await run()


async def test_a_command_that_is_cancelled_otherwise_is_cancelled(data_dir: Path) -> None:
    entered = asyncio.Event()

    async def run() -> None:
        async with joined(data_dir):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_owner_waits_for_those_who_joined_and_lets_no_others_in(data_dir: Path) -> None:
    waits: list[str] = []
    with join(data_dir) as shared:
        assert shared is not None
        withdrawal = asyncio.create_task(withdraw(data_dir, lambda: waits.append("waits")))
        await until_awaited(lambda: asyncio.sleep(0, waits))
        waited = not withdrawal.done()
    await withdrawal

    with join(data_dir) as late:
        assert late is None
    assert waited
    assert waits == ["waits"]
