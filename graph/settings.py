"""The server's settings: environment variables, validated before anything starts."""

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from graph.clients.report_uploader import INSTANCE, KEY
from graph.clients.worker.options import TOKEN, URL
from resolvers.access.quota_sizes import QuotaName, QuotaSubject, Sizes
from resolvers.limits import (
    MAX_ANONYMOUS_ANSWER_BYTES,
    MAX_ANONYMOUS_ANSWER_OBJECTS,
    MAX_ANSWER_BYTES,
    MAX_ANSWER_OBJECTS,
)
from resolvers.reads.answer_budget import AnswerLimits

PREFIX = "PROVENANCE_"
OF_CLIENTS = (URL, TOKEN, INSTANCE, KEY)
"""Variables of `provenance-graph work` and `upload`, which may be set on a server's machine too."""
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'^_`|~.+-]{1,100}")
MAX_ALLOWED_HEADERS = 100
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Environment(StrEnum):
    """The environment that the server runs in."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogLevel(StrEnum):
    """The least severe level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Executor(StrEnum):
    """The executor that answers queries."""

    PLAN = "plan"
    REFERENCE = "reference"


class MetricsAccess(StrEnum):
    """The callers that may read /metrics."""

    PUBLIC = "public"
    ADMIN = "admin"


class SettingsError(Exception):
    """A variable holds a value that the server cannot use; the message names both."""


class Settings(BaseModel):
    """The settings of one server, all optional on a laptop; made by `load_settings`."""

    model_config = ConfigDict(validate_default=True, frozen=True)

    env: Environment = Field(Environment.DEVELOPMENT, description="development or production")
    host: str = Field("", validation_alias="HOST", description="an address to listen on")
    port: int = Field(8000, validation_alias="PORT", ge=0, le=65535, description="a number from 0 to 65535")
    log_level: LogLevel = Field(LogLevel.INFO, description="debug, info, warning or error")
    metrics_access_wanted: MetricsAccess | None = Field(
        None, validation_alias="PROVENANCE_METRICS_ACCESS", description="public or admin"
    )
    metrics_port: int | None = Field(None, ge=1, le=65535, description="a number from 1 to 65535")
    metrics_host: str = Field("127.0.0.1", description="an address to listen on")
    slow_seconds: float = Field(1.0, ge=0.001, le=3600, description="a number of seconds from 0.001 to 3600")
    commit: str | None = Field(None, pattern=r"^[0-9a-f]{7,64}$", description="7 to 64 hexadecimal digits")
    allowed_origins: tuple[str, ...] = Field(
        (), description="origins such as https://lab.example, separated by commas, or *"
    )
    allowed_headers: tuple[str, ...] = Field(
        (), description="at most 100 names of header fields such as X-Tenant, separated by commas"
    )
    database_url: SecretStr | None = Field(None, description="a mongodb:// or mongodb+srv:// address")
    database_name: str = Field(
        "provenance", pattern=r"^[A-Za-z0-9_-]{1,63}$", description="1 to 63 letters, digits, - and _"
    )
    bucket: str | None = Field(
        None,
        pattern=r"^gs://[a-z0-9][a-z0-9._-]{1,220}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,100}){0,5}/?$",
        description="gs://name or gs://name/prefix",
    )
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("provenance-graph"), description="a folder of the server's own"
    )
    oidc_issuer: str | None = Field(None, description="an https:// address (http:// on this machine)")
    oidc_audience: str | None = Field(None, description="the audience that tokens are issued for")
    events_audience: str | None = Field(None, description="the audience of the tokens that pushes of file events carry")
    events_account: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", description="the email address of a service account"
    )
    admin_token: SecretStr | None = Field(None, description="at least 32 characters without spaces")
    read_only: bool = Field(False, description="true or false")
    executor: Executor = Field(Executor.PLAN, description="plan or reference")
    objects: int = Field(MAX_ANSWER_OBJECTS, ge=1, le=100_000_000, description="how many objects one answer may hold")
    anonymous_objects: int = Field(
        MAX_ANONYMOUS_ANSWER_OBJECTS,
        ge=1,
        le=100_000_000,
        description="how many objects one answer to an anonymous caller may hold",
    )
    answer_bytes: int = Field(
        MAX_ANSWER_BYTES, ge=1_000, le=2_000_000_000, description="how many bytes the text of one answer may have"
    )
    anonymous_answer_bytes: int = Field(
        MAX_ANONYMOUS_ANSWER_BYTES,
        ge=1_000,
        le=2_000_000_000,
        description="how many bytes the text of one answer to an anonymous caller may have",
    )
    user_requests: int = Field(
        0, ge=0, le=1_000_000_000, description="how many requests a user has a day; 0 for any number"
    )
    user_objects: int = Field(
        0, ge=0, le=1_000_000_000, description="how many objects a user has a day; 0 for any number"
    )
    user_uploads: int = Field(
        0, ge=0, le=1_000_000_000, description="how many uploads a user has a day; 0 for any number"
    )
    token_requests: int = Field(
        0, ge=0, le=1_000_000_000, description="how many requests a token has a day; 0 for any number"
    )
    token_objects: int = Field(
        0, ge=0, le=1_000_000_000, description="how many objects a token has a day; 0 for any number"
    )
    token_uploads: int = Field(
        0, ge=0, le=1_000_000_000, description="how many uploads a token has a day; 0 for any number"
    )
    answer_memory: int | None = Field(
        None, ge=16, le=1_000_000, description="how many megabytes answers may take while they are made and sent"
    )
    concurrency: int | None = Field(
        None, ge=1, le=1_000, description="how many operations of many objects run at a time in a process"
    )
    workers_wanted: int | None = Field(
        None, validation_alias="PROVENANCE_WORKERS", ge=0, le=64, description="a number from 0 to 64"
    )

    @property
    def production(self) -> bool:
        """Whether this is a production server."""
        return self.env is Environment.PRODUCTION

    @property
    def embedded_dir(self) -> Path:
        """The directory of the embedded database."""
        return self.data_dir / "database"

    @property
    def embedded(self) -> bool:
        """Whether the server runs an embedded database."""
        return self.database_url is None

    @property
    def workers(self) -> int:
        """The number of ingest workers that run alongside the server, which has none in read-only mode."""
        if self.read_only:
            return 0
        return self.workers_wanted if self.workers_wanted is not None else int(self.embedded)

    @property
    def quota_sizes(self) -> Sizes:
        """The sizes of the quotas of a day, 0 for those that there are not."""
        return {
            (subject, name): getattr(self, f"{subject.lower()}_{name.lower()}")
            for subject in QuotaSubject
            for name in QuotaName
        }

    @property
    def metrics_access(self) -> MetricsAccess:
        """The callers that may read /metrics: everybody unless set, or administrators if metrics have a port."""
        if self.metrics_access_wanted is not None:
            return self.metrics_access_wanted
        return MetricsAccess.PUBLIC if self.metrics_port is None else MetricsAccess.ADMIN

    @property
    def answer_limits(self) -> AnswerLimits:
        """The limits of one answer."""
        return AnswerLimits(self.objects, self.answer_bytes)

    @property
    def anonymous_answer_limits(self) -> AnswerLimits:
        """The limits of one answer to an anonymous caller."""
        return AnswerLimits(self.anonymous_objects, self.anonymous_answer_bytes)

    @property
    def listen_on(self) -> str:
        """The address to bind: the loopback interface unless set, and all interfaces in production."""
        return self.host or ("0.0.0.0" if self.production else "127.0.0.1")

    @field_validator("env", "log_level", "executor", "metrics_access_wanted", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s?#@*]+", origin):
                raise _invalid()
        return origins

    @field_validator("allowed_headers", mode="before")
    @classmethod
    def _split_headers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if len(names) > MAX_ALLOWED_HEADERS or not all(HEADER_NAME.fullmatch(name) for name in names):
            raise _invalid()
        return names

    @field_validator("database_url")
    @classmethod
    def _is_mongodb(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"mongodb(\+srv)?://[^\s]+$", value.get_secret_value()):
            raise _invalid()
        return value

    @field_validator("admin_token")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\x21-\x7e]{32,}", value.get_secret_value()):
            raise _invalid()
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _is_safe_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and parts.hostname in LOOPBACK):
            return value
        raise _invalid()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.production and self.database_url is None:
            raise PydanticCustomError("together", "PROVENANCE_DATABASE_URL must be set when PROVENANCE_ENV=production.")
        if self.oidc_issuer and not self.oidc_audience:
            raise PydanticCustomError("together", "PROVENANCE_OIDC_AUDIENCE must be set with PROVENANCE_OIDC_ISSUER.")
        if (self.events_audience is None) is not (self.events_account is None):
            raise PydanticCustomError(
                "together", "PROVENANCE_EVENTS_AUDIENCE and PROVENANCE_EVENTS_ACCOUNT must be set together."
            )
        return self


def _invalid() -> PydanticCustomError:
    # The sentence for the user names the allowed values in place of this text.
    return PydanticCustomError("invalid", "invalid")


def load_settings(warn: Callable[[str], None] | None = None) -> Settings:
    """The settings in the environment. Raises SettingsError naming the variable, its value and the allowed values.

    `warn` is called with a sentence for each variable that looks like a setting and is none; by default it goes to
    stderr.
    """
    for warning in unknown_variables(os.environ):
        (warn or _to_stderr)(warning)
    try:
        return Settings.model_validate(_values(os.environ))
    except ValidationError as error:
        # The original error holds the values, secrets among them, and would be printed with the traceback.
        message = "\n".join(_sentence(detail) for detail in error.errors(include_url=False))
    raise SettingsError(message)


def _values(environ: Mapping[str, str]) -> dict[str, str]:
    """The values of the variables that are set, by the names that Settings has for them; their case does not matter."""
    given = {name.upper(): value for name, value in environ.items() if value}
    fields = {variable_of(name): field.validation_alias or name for name, field in Settings.model_fields.items()}
    return {str(name): given[variable] for variable, name in fields.items() if variable in given}


def variable_of(field: str) -> str:
    """The environment variable of a field of Settings."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each PROVENANCE_ variable that is no setting, with the setting of the most similar name."""
    known = [variable_of(field) for field in Settings.model_fields]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in {*known, *OF_CLIENTS})
    return [f"{name} is not a setting and is ignored.{_suggestion(name, known)}" for name in unknown]


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f" Did you mean {close[0]}?" if close else ""


def _sentence(detail: ErrorDetails) -> str:
    if not detail["loc"]:
        return detail["msg"]
    field = _field_of(str(detail["loc"][0]))
    variable, allowed = variable_of(field), Settings.model_fields[field].description
    if "SecretStr" in str(Settings.model_fields[field].annotation):
        return f"{variable} has a value that cannot be used; allowed: {allowed}."
    return f"{variable} is {_quote(detail['input'])}; allowed: {allowed}."


def _field_of(name: str) -> str:
    """The field that a validation error is about, which pydantic names by its alias where it has one."""
    by_variable = {variable_of(field): field for field in Settings.model_fields}
    return by_variable.get(name, name)


def _quote(value: Any) -> str:
    text = repr(cast(object, value))
    return text if len(text) <= 200 else text[:200] + "…"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
