"""The reference of limits: what a client can meet, with the values that the code has."""

from datetime import timedelta

from documents.storage.upload import UploadPurpose
from graph.activities.log_entry import MAX_LOG_PAGE_SIZE
from graph.core.node import MAX_IDS
from graph.core.where import MAX_WHERE_DEPTH
from graph.engine import introspection
from graph.engine.deadline import REQUEST_TIMEOUT
from graph.engine.limits import Limits
from graph.http import request_head
from graph.http.request import BODY_TIMEOUT, MAX_BODY
from graph.settings import Settings
from graph.websocket.endpoint import MAX_MESSAGE, MAX_OPERATIONS, MAX_SOCKETS, SEND_TIMEOUT
from resolvers.activities import log_entry
from resolvers.activities.change_stream import MAX_LISTENERS
from resolvers.activities.lease import MAX_LEASE_SECONDS
from resolvers.activities.retry import FIRST_HAND_BACK_DELAY, MAX_HAND_BACK_DELAY, RETRY_DELAYS
from resolvers.activities.state_machine import MAX_ATTEMPTS
from resolvers.catalogue.merge_organisations import MAX_MERGED, MAX_MOVED
from resolvers.catalogue.read_distributions import MAX_DISTRIBUTIONS
from resolvers.file_events.file_event import MAX_FILES
from resolvers.filters import MAX_VALUES
from resolvers.galaxy import report_metadata
from resolvers.galaxy.ingestion import MAX_ARCHIVE_IDS
from resolvers.galaxy.ingestion_queue import MAX_INGESTION_REFS
from resolvers.galaxy.statistics.counts import MAX_GROUPS
from resolvers.galaxy.statistics.runtimes import MAX_EXACT_SAMPLES
from resolvers.reads.page import COUNT_CAP, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from resolvers.storage.signed_url import MAX_SIGNED_URL_SECONDS
from resolvers.storage.upload import MAX_OPEN_UPLOADS, MAX_UPLOAD_BYTES, UPLOAD_LIFETIME
from resolvers.twins.execution_validation import MAX_STEPS
from resolvers.twins.output import MAX_AUTHORIZED_USERS, MAX_DOWNLOAD_URLS
from resolvers.twins.result import MAX_OUTPUTS
from resolvers.twins.share_twin import MAX_READERS
from resolvers.twins.step_graph import MAX_KEY_BYTES
from resolvers.twins.used_outputs import MAX_USED, MAX_USED_BY_STEP
from resolvers.validators import MAX_NAME_BYTES, MAX_PATH_BYTES
from tests.docs.tables import table

SETTINGS = Settings.model_construct()
LIMITS: dict[str, dict[str, float]] = {
    "A request": {
        "bytes of a request's address": request_head.MAX_ADDRESS,
        "bytes of its header fields together": request_head.MAX_FIELDS,
        "header fields": request_head.MAX_FIELD_COUNT,
        "seconds for sending address and header fields": request_head.HEAD_TIMEOUT,
        "requests that wait on one connection for the answer to another": request_head.MAX_PIPELINED,
        "bytes of a request's body": MAX_BODY,
        "seconds for sending it": BODY_TIMEOUT,
        "seconds that a request waits for the database": REQUEST_TIMEOUT,
    },
    "A document": {
        "characters of a document": Limits.characters,
        "tokens of a document": Limits.tokens,
        "operations of a document, of which one is run": Limits.operations,
        "levels of fields, introspection aside": Limits.depth,
        "aliases": Limits.aliases,
        "root fields": Limits.root_fields,
        "directives": Limits.directives,
        "fields, with fragments spread": Limits.fields,
        "fragments": Limits.fragments,
        "pairs of fields with one name in one place": Limits.field_pairs,
        "`__schema` in an operation, which may ask for nothing else then": 1,
        "fields of an answer about the schema": introspection.MAX_FIELDS,
    },
    "Variables and arguments": {
        "values in variables": Limits.values,
        "levels of variables": Limits.value_depth,
        "conditions of a `where`, those below `and`, `or` and `not` among them": Limits.conditions,
        "levels of a `where`": MAX_WHERE_DEPTH,
        "values of an `in`": MAX_VALUES,
        "items of an `orderBy`": Limits.order_keys,
        "items of any other list in arguments": Limits.list_items,
        "input objects in arguments, counted wherever they are used": Limits.input_objects,
        "ids for `nodes`": MAX_IDS,
    },
    "A page": {
        "rows of a page": MAX_PAGE_SIZE,
        "log lines of a page": MAX_LOG_PAGE_SIZE,
        "rows of a page when nothing is said": DEFAULT_PAGE_SIZE,
        "counted rows; `totalCount` is null beyond": COUNT_CAP,
    },
    "An answer": {
        "objects of an answer": SETTINGS.objects,
        "objects of an answer to an anonymous caller": SETTINGS.anonymous_objects,
        "bytes of an answer": SETTINGS.answer_bytes,
        "bytes of an answer to an anonymous caller": SETTINGS.anonymous_answer_bytes,
        "signed URLs in one answer": MAX_DOWNLOAD_URLS,
    },
    "The catalogue": {
        "documents in one `ingestTransform`": MAX_DISTRIBUTIONS,
        "files in one `reportFiles`": MAX_FILES,
        "organisations in one `mergeOrganisations`": MAX_MERGED,
        "resources that it moves": MAX_MOVED,
    },
    "Digital twins": {
        "steps of an execution or a workflow": MAX_STEPS,
        "outputs that a step uses": MAX_USED_BY_STEP,
        "outputs that the steps of an execution use": MAX_USED,
        "outputs of a result": MAX_OUTPUTS,
        "users with whom a digital twin is shared": MAX_READERS,
        "users that an output names as its readers": MAX_AUTHORIZED_USERS,
        "bytes of a step's key": MAX_KEY_BYTES,
        "bytes of an output's name": MAX_PATH_BYTES,
        "bytes of a part of an output's name": MAX_NAME_BYTES,
    },
    "Steps and transforms that run": {
        "seconds of a lease": MAX_LEASE_SECONDS,
        "times that a step or transform is begun, hand-backs aside": MAX_ATTEMPTS,
        "seconds that it waits after a failure": RETRY_DELAYS[0].total_seconds(),
        "seconds that it waits after the second": RETRY_DELAYS[1].total_seconds(),
        "seconds that it waits when it is handed back with a reason, at first": FIRST_HAND_BACK_DELAY.total_seconds(),
        "seconds that it waits when it is handed back with a reason, at last": MAX_HAND_BACK_DELAY.total_seconds(),
        "lines in one `appendLogs`": log_entry.MAX_ENTRIES,
        "characters of a line of a log": log_entry.MAX_MESSAGE_LENGTH,
        "lines of an attempt": log_entry.MAX_LINES,
        "lines of all attempts of an activity": log_entry.MAX_LINES_OF_ALL_ATTEMPTS,
    },
    "Uploads": {
        "bytes of an uploaded output": MAX_UPLOAD_BYTES[UploadPurpose.OUTPUT],
        "bytes of an uploaded archive": MAX_UPLOAD_BYTES[UploadPurpose.ARCHIVE],
        "bytes of a report's metadata": report_metadata.MAX_METADATA_BYTES,
        "hours until an upload must be registered": UPLOAD_LIFETIME / timedelta(hours=1),
        "uploads of one token or user that wait for that": MAX_OPEN_UPLOADS,
        "seconds that a signed URL works": MAX_SIGNED_URL_SECONDS,
    },
    "Galaxy": {
        "archives named in one `ingestArchives`": MAX_ARCHIVE_IDS,
        "ingestions that an archive tells of": MAX_INGESTION_REFS,
        "groups of one `toolUsage`, of which at most 100 are shown": MAX_GROUPS,
        "runtimes in one `toolUsage` for exact percentiles": MAX_EXACT_SAMPLES,
    },
    "WebSockets": {
        "operations at a time on one WebSocket": MAX_OPERATIONS,
        "bytes of a message on it": MAX_MESSAGE,
        "seconds that a client may leave a message unread": SEND_TIMEOUT,
        "WebSockets of a process": MAX_SOCKETS,
        "subscriptions of a process": MAX_LISTENERS,
    },
}
"""The limits by topic: each name is the subject of a sentence, "at most so many …"."""


def tables() -> str:
    """A heading and a table for each group of limits."""
    return "\n\n".join(f"## {group}\n\n{_table(limits)}" for group, limits in LIMITS.items())


def _table(limits: dict[str, float]) -> str:
    return table(("what", "at most"), ((name, f"{int(value):,}") for name, value in limits.items()))
