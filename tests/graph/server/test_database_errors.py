"""Errors of the database, as sentences for the person who started a command."""

import pytest
from pydantic import SecretStr
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import make_client
from graph.server.database_errors import explain_database_error
from graph.settings import Settings

CHECK = "Is it running, and is PROVENANCE_DATABASE_URL right?"


async def explained(url: str) -> str:
    """The sentence about a database that cannot be used."""
    error = None
    try:
        client = make_client(url, serverSelectionTimeoutMS=300)
        try:
            await client.admin.command("ping")
        finally:
            await client.close()
    except PyMongoError as raised:
        error = raised
    assert error is not None
    return explain_database_error(error, Settings(database_url=SecretStr(url)))


async def test_the_name_of_another_replica_set_is_told(mongod: EmbeddedMongo) -> None:
    url = mongod.uri.replace("replicaSet=provenance", "replicaSet=another")

    said = await explained(url)

    assert said == (
        f"The database at 127.0.0.1:{mongod.port} does not answer: its replica set has another name than the URL says. "
        f"{CHECK}"
    )


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        # Where the driver itself meets this it may leave a socket to the garbage collector, which warns of it.
        (
            "127.0.0.1:1: [Errno 111] Connect call failed ('127.0.0.1', 1), Timeout: 5.0s, Topology",
            "The database at 127.0.0.1:1 does not answer: nothing listens there.",
        ),
        (
            "a.example:27017: [Errno -2] Name or service not known,b.example:27018: timed out, Timeout: 5.0s, Topology",
            "The database at a.example:27017, b.example:27018 does not answer: there is no host of this name.",
        ),
        (
            "Message length (1329865020) is larger than server max message size (48000000), Timeout: 5.0s, Topology",
            "The database at db.example:27017 does not answer: what listens there is not a MongoDB.",
        ),
        (
            "No primary available for writes, Timeout: 5.0s, Topology Description: <TopologyDescription id: 6b>",
            "The database at db.example:27017 does not answer: its replica set has no primary.",
        ),
        (
            "Something new, Timeout: 5.0s, Topology Description: <TopologyDescription id: 6b>",
            "The database at db.example:27017 does not answer: Something new.",
        ),
    ],
)
def test_each_reason_is_told_with_the_addresses_that_the_driver_tried(reason: str, said: str) -> None:
    settings = Settings(database_url=SecretStr("mongodb://u:p@db.example:27017/?replicaSet=rs0"))

    assert explain_database_error(ServerSelectionTimeoutError(reason), settings) == f"{said} {CHECK}"


@pytest.mark.parametrize("url", ["mongodb://127.0.0.1:99999/", "mongodb://[::1/"])
async def test_a_malformed_address_is_an_error_of_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_client(url)

    said = explain_database_error(refused.value, Settings())

    assert said.startswith("PROVENANCE_DATABASE_URL cannot be used: ")
    assert not said.endswith("..")


def test_a_refused_password_is_told_without_it() -> None:
    error = OperationFailure("Authentication failed.", 18)

    assert explain_database_error(error, Settings()) == (
        "The database refused the user name or password in PROVENANCE_DATABASE_URL."
    )
