"""A worker: claims steps and transforms, runs a command for each, and reports, all by GraphQL over HTTP.

It is a client like any that a user would write: it knows the schema, not the server's internals.
"""

import logging

log = logging.getLogger("graph.worker")
"""Logger for messages to the user, on stderr."""
