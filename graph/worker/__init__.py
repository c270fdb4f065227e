"""A worker: claims what waits, runs a command for it, and reports, by nothing but GraphQL over HTTP.

It is a client like any that a user would write, and knows the schema, not the server's insides.
"""

import logging

say = logging.getLogger("graph.worker")
"""What a person reads on stderr."""
