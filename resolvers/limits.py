"""The limits of reads and writes that clients meet. `graph/limits.py` has those of requests.

`docs/reference/limits.md` is generated from both. A comment of the form `# == Heading ==` begins a table; the first
sentence below a constant completes "at most so many …" there, and further sentences give the reason.
"""

from datetime import timedelta

# == Variables and arguments ==
MAX_FILTER_VALUES = 1_000
"""Values of an `in`."""
MAX_SEARCH_LENGTH = 1_000
"""Characters of a text that is searched for."""

# == A page ==
MAX_PAGE_SIZE = 100
"""Rows of a page."""
MAX_LOG_PAGE_SIZE = 1_000
"""Log lines of a page."""
DEFAULT_PAGE_SIZE = 20
"""Rows of a page when nothing is said."""
MAX_COUNTED_ROWS = 10_000
"""Counted rows; `totalCount` is null beyond."""

# == An answer ==
MAX_ANSWER_OBJECTS = 1_000_000
"""Objects of an answer, unless `PROVENANCE_OBJECTS` is set."""
MAX_ANONYMOUS_ANSWER_OBJECTS = 50_000
"""Objects of an answer to an anonymous caller, unless `PROVENANCE_ANONYMOUS_OBJECTS` is set."""
MAX_ANSWER_BYTES = 64_000_000
"""Bytes of an answer, unless `PROVENANCE_ANSWER_BYTES` is set."""
MAX_ANONYMOUS_ANSWER_BYTES = 8_000_000
"""Bytes of an answer to an anonymous caller, unless `PROVENANCE_ANONYMOUS_ANSWER_BYTES` is set."""
MAX_DOWNLOAD_URLS = 500
"""Signed URLs in one answer. Each may take a call to Google."""

# == The catalogue ==
MAX_DISTRIBUTIONS = 200
"""Documents in one `ingestTransform`."""
MAX_REPORTED_FILES = 1_000
"""Files in one `reportFiles`."""
MAX_TOKEN_DEPTH = 20
"""Tokens of which each made the next, before one more."""
MAX_MERGED_ORGANISATIONS = 100
"""Organisations in one `mergeOrganisations`."""
MAX_MOVED_RESOURCES = 10_000
"""Resources that it moves. It is one transaction."""

# == Provenance ==
MAX_USED_ARTIFACTS = 1_000
"""Artifacts in one `used`."""
MAX_LINEAGE_DEPTH = 100
"""Edges between a node of a `lineage` and where it begins."""
MAX_LINEAGE_NODES = 10_000
"""Nodes of a `lineage`."""
MAX_RESTRICTED_NEIGHBOURS = 1_000
"""Hidden neighbours that a `lineage` counts."""
MAX_IMPACT_COMMITS = 1_000
"""Commits in one `codeImpact`."""
MAX_STALENESS_DEPTH = 10
"""Edges upstream that `staleness` follows."""
MAX_STALENESS_NODES = 1_000
"""Nodes upstream that it looks at."""
MAX_STALENESS_CAUSES = 100
"""Causes of `staleness`."""

# == Digital twins ==
MAX_STEPS = 1_000
"""Steps of an execution or a workflow."""
MAX_USED_OF_EXECUTION = 10_000
"""Artifacts that the steps of an execution are told to use."""
MAX_RESULT_OUTPUTS = 1_000
"""Outputs of a result."""
MAX_TWIN_READERS = 100
"""Users with whom a digital twin is shared. Each is repeated on every row that follows it."""
MAX_AUTHORIZED_USERS = 1_000
"""Users that an output names as its readers."""
MAX_STEP_KEY_BYTES = 255
"""Bytes of a step's key. A worker names the folder for a dependency's files after it."""
MAX_FILE_PATH_BYTES = 3_072
"""Bytes of an output's name. Linux allows 4,095 for a path, including the folder."""
MAX_FILE_NAME_BYTES = 255
"""Bytes of a part of an output's name. No common file system allows more for a file or folder."""

# == Steps and transforms that run ==
MAX_LEASE_SECONDS = 3_600
"""Seconds of a lease. A worker that needs longer extends the lease, which shows that it is alive."""
MAX_ATTEMPTS = 3
"""Times that a step or transform is begun, hand-backs aside. Then an expired lease or a retryable failure ends it."""
FIRST_RETRY_DELAY = timedelta(seconds=10)
"""Seconds that it waits after a failure."""
SECOND_RETRY_DELAY = timedelta(seconds=60)
"""Seconds that it waits after the second."""
FIRST_HAND_BACK_DELAY = timedelta(seconds=2)
"""Seconds that it waits when it is handed back with a reason, at first. The delay is doubled for all by each further
worker, and for a worker by each hand-back of its own."""
MAX_HAND_BACK_DELAY = timedelta(minutes=10)
"""Seconds that it waits when it is handed back with a reason, at last."""
MAX_APPENDED_LINES = 1_000
"""Lines in one `appendLogs`."""
MAX_LOG_LINE_LENGTH = 10_000
"""Characters of a line of a log."""
MAX_LINES_PER_ATTEMPT = 10_000_000
"""Lines of an attempt."""
MAX_LINES_OF_ALL_ATTEMPTS = 2_000_000_000
"""Lines of all attempts of an activity. Hand-backs leave the number of attempts unbounded, and GraphQL's Int holds
2^31 - 1."""

# == Uploads ==
MAX_OUTPUT_BYTES = 50_000_000_000
"""Bytes of an uploaded output."""
MAX_ARCHIVE_BYTES = 10_000_000_000
"""Bytes of an uploaded archive."""
MAX_REPORT_METADATA_BYTES = 1_000_000
"""Bytes of a report's metadata."""
UPLOAD_LIFETIME = timedelta(hours=24)
"""Hours until an upload must be registered."""
MAX_OPEN_UPLOADS = 1_000
"""Uploads of one token or user that wait for that."""
MAX_SIGNED_URL_SECONDS = 3_600
"""Seconds that a signed URL works."""

# == Galaxy ==
MAX_INGESTED_ARCHIVES = 1_000
"""Archives named in one `ingestArchives`."""
MAX_INGESTION_REFS = 1_000
"""Ingestions that an archive tells of. They are the latest ones."""
MAX_USAGE_GROUPS = 200_000
"""Groups of one `toolUsage`, of which at most 100 are shown. More would take too much memory."""
MAX_EXACT_SAMPLES = 2_000
"""Runtimes in one `toolUsage` for exact percentiles. Those of more are estimated."""

# == WebSockets ==
MAX_SUBSCRIPTIONS = 2_000
"""Subscriptions of a process."""
