"""The lineage of an object on a terminal, asked of a real server."""

import json
from collections.abc import Iterator

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.running import COMMAND, Running, command, on_database, running
