"""The MongoDB of a run."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymongo import MongoClient

from documents.embedded_mongod.server import EmbeddedMongo


@contextmanager
def database(given: str | None) -> Iterator[tuple[str, int | None]]:
    """The given MongoDB, or one for this run, in memory where the machine has that, and its process."""
    if given is not None:
        yield given, None
        return
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="provenance-bench-", dir=parent) as directory,
        EmbeddedMongo.start(Path(directory) / "mongod") as embedded,
    ):
        yield embedded.uri, embedded.pid


def set_cache(url: str, megabytes: int) -> None:
    """Give a MongoDB of this run a cache of a size, in place of the 256 MB of embedded servers."""
    setting = f"cache_size={megabytes}M"
    with MongoClient[dict[str, object]](url) as client:
        client.admin.command({"setParameter": 1, "wiredTigerEngineRuntimeConfig": setting})
