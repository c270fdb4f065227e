"""The server that workers work for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from documents.embedded import Embedded
from tests.running import COMMAND, environment, on_database, running
from tests.worker.working import Lab, a_token


@pytest.fixture
def lab(the_lab: Lab) -> Iterator[Lab]:
    """The lab, in which nothing waits yet."""
    yield the_lab
    the_lab.leave_nothing_waiting()


@pytest.fixture(scope="session")
def the_lab(mongod: Embedded, fast_directory: Path) -> Iterator[Lab]:
    """The real server on a database of its own, with a folder for files, and a token for workers."""
    directory = fast_directory / "lab"
    directory.mkdir()
    env = on_database(mongod.uri, "test_workers")
    with running(*COMMAND, "serve", env=env, directory=directory) as server:
        yield Lab(server, a_token(environment(directory, env)), directory)
