"""Errors of the database, each as a sentence that names the database's address and says what to check."""

import re

from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from graph.logs import Redactor
from graph.settings import Settings

AUTHENTICATION_FAILED = (18, 8000)
"""MongoDB's error code, and that of Atlas."""
NO_TRANSACTIONS = "Transaction numbers are only allowed on a replica set"
NO_REPLICA_SET = (
    "PROVENANCE_DATABASE_URL names a MongoDB that is not a replica set, so it has no transactions. "
    "Start it with --replSet, which works for a single server too, and run rs.initiate() in it once."
)
HOSTS = re.compile(r"mongodb(?:\+srv)?://(?:.*@)?([^/?@]+)")
SILENT_ADDRESS = re.compile(r"(?:^|,)(?:SSL handshake failed: )?([^\s,]+:\d+): ")
"""The address at the beginning of a driver's reason: one of the URL, or one that its replica set gives for a member."""
SILENCES = {
    "Connect call failed": "nothing listens there",
    "Connection refused": "nothing listens there",
    "Name or service not known": "there is no host of this name",
    "nodename nor servname provided": "there is no host of this name",
    "Temporary failure in name resolution": "there is no host of this name",
    "timed out": "there is no answer in time",
    "connection is already closed": "what listens there closes the connection",
    "connection closed": "what listens there closes the connection",
    "Message length": "what listens there is not a MongoDB",
    "SSL handshake failed": "it does not speak TLS as the URL's options ask for",
    "No replica set members available for replica set name": "its replica set has another name than the URL says",
    "No primary available": "its replica set has no primary",
    "No replica set members match": "its replica set has no primary",
}
"""Reasons why a driver finds no server, by a part of its message; in the order in which they are looked for."""


def explain_database_error(error: PyMongoError, settings: Settings) -> str:
    """Say in a sentence why the database cannot be used, without the credentials."""
    reason = Redactor()(str(error)).partition(", full error")[0].removesuffix(".")
    match error:
        case OperationFailure() if error.code in AUTHENTICATION_FAILED:
            return "The database refused the user name or password in PROVENANCE_DATABASE_URL."
        case OperationFailure() if NO_TRANSACTIONS in reason:
            return NO_REPLICA_SET
        case OperationFailure():
            return f"The database refused: {reason}."
        case ServerSelectionTimeoutError():
            silence = next((said for part, said in SILENCES.items() if part in reason), _first_part(reason))
            return (
                f"The database at {_addresses(reason) or hosts(settings)} does not answer: {silence}. "
                "Is it running, and is PROVENANCE_DATABASE_URL right?"
            )
        case ConfigurationError():
            return f"PROVENANCE_DATABASE_URL cannot be used: {reason}."
    return f"The database failed: {_first_part(reason)}."


def hosts(settings: Settings) -> str:
    """The hosts and ports of the database's URL, without the credentials."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    named = HOSTS.match(url)
    return named[1] if named else "the embedded address"


def _addresses(reason: str) -> str:
    return ", ".join(dict.fromkeys(SILENT_ADDRESS.findall(reason.partition(", Timeout: ")[0])))


def _first_part(reason: str) -> str:
    """The driver's reason without its time-outs and its description of the topology."""
    return reason.partition(" (configured timeouts")[0].partition(", Timeout: ")[0]
