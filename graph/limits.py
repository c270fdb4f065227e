"""The limits of requests that clients meet. `resolvers/limits.py` has those of reads and writes, and says how the table
in the documentation is made of both.
"""

from dataclasses import dataclass

# == A request ==
MAX_ADDRESS_BYTES = 65_535
"""Bytes of a request's address. The parser has the same limit."""
MAX_FIELDS_BYTES = 65_536
"""Bytes of its header fields together. The framing between the parts of a body may have as many."""
MAX_FIELD_COUNT = 200
"""Header fields."""
HEAD_TIMEOUT = 30.0
"""Seconds for sending address and header fields. They count from the first byte of a head, and on a new connection from
its start."""
MAX_PIPELINED_REQUESTS = 100
"""Requests that wait on one connection for the answer to another."""
MAX_BODY_BYTES = 1_000_000
"""Bytes of a request's body. Larger files go through an upload."""
BODY_TIMEOUT = 30.0
"""Seconds for sending it."""
REQUEST_TIMEOUT = 10.0
"""Seconds that a request waits for the database. All calls and their retries count together."""


@dataclass(frozen=True)
class Limits:
    """The limits of a document and its variables."""

    # == A document ==
    characters: int = 50_000
    """Characters of a document."""
    tokens: int = 4_000
    """Tokens of a document."""
    operations: int = 50
    """Operations of a document, of which one is run. Validation follows the fragments of each anew."""
    depth: int = 15
    """Levels of fields, introspection aside."""
    aliases: int = 30
    """Aliases."""
    root_fields: int = 20
    """Root fields."""
    directives: int = 50
    """Directives."""
    fields: int = 4_000
    """Fields, with fragments spread. Those of all definitions count; without fragments, no document of 4,000 tokens has
    more."""
    fragments: int = 100
    """Fragments."""
    field_pairs: int = 2_000
    """Pairs of fields with one name in one place. Validation takes about 10 µs for each."""
    # == Variables and arguments ==
    values: int = 50_000
    """Values in variables. They are the members of lists and objects."""
    value_depth: int = 64
    """Levels of variables."""
    conditions: int = 200
    """Conditions of a `where`, those below `and`, `or` and `not` among them."""
    order_keys: int = 10
    """Items of an `orderBy`."""
    list_items: int = 2_000
    """Items of any other list in arguments. Mutations accept fewer, and their errors name the list."""
    input_objects: int = 2_500
    """Input objects in arguments, counted wherever they are used."""


MAX_WHERE_DEPTH = 5
"""Levels of a `where`."""
MAX_NODE_IDS = 100
"""Ids for `nodes`."""

# == A document ==
MAX_SCHEMA_FIELDS = 1
"""`__schema` in an operation, which may ask for nothing else then."""
MAX_INTROSPECTION_FIELDS = 60_000
"""Fields of an answer about the schema. The standard query has less than half; aliases and nesting multiply them."""

# == WebSockets ==
MAX_SOCKET_OPERATIONS = 20
"""Operations at a time on one WebSocket."""
MAX_MESSAGE_BYTES = 131_072
"""Bytes of a message on it."""
SEND_TIMEOUT = 30.0
"""Seconds that a client may leave a message unread. Then it is disconnected."""
MAX_SOCKETS = 4_000
"""WebSockets of a process."""
