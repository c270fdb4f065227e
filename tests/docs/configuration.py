"""The reference of the settings: variables, defaults and meanings."""

from graph.settings import Settings, variable_of
from tests.docs.tables import table

PORTS = ("port", "metrics_port")
"""Numbers whose bounds everybody knows."""
DEFAULTS = {
    "host": "`127.0.0.1`, in production `0.0.0.0`",
    "database_url": "none: the embedded database",
    "data_dir": "the user's data directory",
    "bucket": "none: a folder; in production nowhere",
    "answer_memory": "a fourth of the memory, 32 to 1,000",
    "concurrency": "two a core, 4 to 16",
    "metrics_access_wanted": "`public`; `admin` where metrics have a port of their own",
    "metrics_port": "none: `/metrics` on the server's own port",
    "workers_wanted": "`1` on the embedded database, else `0`",
}
"""Defaults that follow from the machine or from other settings."""
MEANINGS = {
    "env": "`production` demands a database URL, writes logs as JSON, and leaves "
    "[migrations](../operations/upgrade.md) to `migrate`",
    "host": "address to listen on",
    "port": "port to listen on",
    "database_url": "`mongodb://` or `mongodb+srv://` address of a replica set, MongoDB 6.0 or newer; one without "
    "transactions is refused",
    "database_name": "the database's name",
    "data_dir": "folder of the embedded database, and of stored files where there is no bucket",
    "bucket": "`gs://name` or `gs://name/prefix`, where files are stored",
    "oidc_issuer": "issuer whose JWTs are accepted, `https://`",
    "oidc_audience": "audience that its tokens must be for; needed with an issuer",
    "events_audience": "audience of the tokens on [pushes of file events](../operations/file-event-buckets.md)",
    "events_account": "email address of the service account that these tokens are for; the two are set together",
    "admin_token": "accepted as an administrator's token, at least 32 characters; for first set-up and automation",
    "allowed_origins": "origins of other sites whose pages may call, separated by commas, or `*`",
    "allowed_headers": "header fields that these pages may send beside `Authorization`, `Content-Type` and the like, "
    "those of tracing (`traceparent`, `tracestate`, `baggage`, `sentry-trace`) and of Apollo Client "
    "(`apollographql-client-name`, `apollographql-client-version`), separated by commas",
    "log_level": "`debug`, `info`, `warning` or `error`",
    "slow_seconds": "seconds from which on an operation is "
    "[logged as slow](../operations/monitoring.md#slow-operations)",
    "metrics_access_wanted": "`admin` answers `/metrics` to administrators alone, `public` to everybody",
    "metrics_port": "port that serves [metrics](../operations/monitoring.md) and nothing else, to everybody who can "
    "reach it",
    "metrics_host": "address of that port",
    "commit": "commit that the code was built from, for the metric `provenance_build_info`",
    "objects": "objects that one answer may hold",
    "anonymous_objects": "the same for anonymous callers",
    "answer_bytes": "bytes that the text of one answer may have",
    "anonymous_answer_bytes": "the same for anonymous callers",
    "user_requests": "requests that a user has a [day](quotas.md); 0 for any number",
    "user_objects": "objects in answers that a user has a day; 0 for any number",
    "user_uploads": "uploads that a user has a day; 0 for any number",
    "token_requests": "requests that an API token has a day; 0 for any number",
    "token_objects": "objects in answers that an API token has a day; 0 for any number",
    "token_uploads": "uploads that an API token has a day; 0 for any number",
    "answer_memory": "megabytes that the answers of a process may take while they are made and read",
    "concurrency": "operations of thousands of objects that run at a time in a process",
    "read_only": "`true` answers queries and [writes nothing](../operations/read-only.md)",
    "executor": "`reference` answers by the standard executor alone, slower, to compare",
    "workers_wanted": "processes beside the server that [ingest reports](../guides/ingest-reports.md)",
}


def settings() -> str:
    """A row for each setting, in the order in which people come to need them."""
    assert MEANINGS.keys() == Settings.model_fields.keys(), "a setting is missing from tests/docs/configuration.py"
    rows = (
        (f"`{variable_of(name)}`", _default(name), f"{meaning}{_bounds(name)}") for name, meaning in MEANINGS.items()
    )
    return table(("variable", "default", "meaning"), rows)


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    if name in DEFAULTS:
        return DEFAULTS[name]
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if default else "none"


def _bounds(name: str) -> str:
    """The least and the greatest value of a number."""
    bounds = [bound for one in Settings.model_fields[name].metadata for bound in _values(one)]
    return f" ({bounds[0]:,} to {bounds[1]:,})" if len(bounds) == 2 and name not in PORTS else ""


def _values(constraint: object) -> list[int]:
    values = (getattr(constraint, name, None) for name in ("ge", "le"))
    return [value for value in values if isinstance(value, int)]
