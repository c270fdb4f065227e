"""A landing page together with the code that turns the data published there into datasets."""

import json
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, JsonText, Timestamp, now
from documents.storage.file_url import directory_url


class CodeProvider(StrEnum):
    """The service that hosts a repository."""

    GITHUB = "github"
    GITLAB = "gitlab"
    BITBUCKET = "bitbucket"
    OTHER = "other"


class SourceFile(EmbeddedModel):
    """A file of a pipeline at the commit of its latest run."""

    path: str
    commit: str


class MonitorDir(EmbeddedModel):
    """A directory whose new or changed files make a transform due.

    `url` is as the client wrote it, without secrets; `prefix` is the URL as `directory_url` writes it, for comparison
    with the URLs of files.
    """

    url: str
    prefix: str = ""
    watched_since: Timestamp = Field(default_factory=now, alias="watchedSince")
    last_seen_at: Timestamp | None = Field(None, alias="lastSeenAt")
    pending_files: int = Field(0, alias="pendingFiles")

    def model_post_init(self, context: Any, /) -> None:
        self.prefix = self.prefix or directory_url(self.url)


class CodeRepo(EmbeddedModel):
    """The repository of a resource's code, and the directories that are watched for it. `pipeline` names one of several
    pipelines in the folder of the code."""

    provider: CodeProvider = CodeProvider.GITHUB
    url: str | None = None
    pipeline: str | None = None
    source: list[SourceFile] = []
    monitor_dirs: list[MonitorDir] = []

    def directory(self) -> str | None:
        """The folder of the pipeline's first source file, None when no file is named."""
        return self.source[0].path.rpartition("/")[0] if self.source else None


class Resource(Document):
    """A landing page together with the code that turns the data published there into datasets.

    Several pipelines may read one landing page, so `natural_key` adds the repository and the folder of the code with
    the name of the pipeline there, or the title when no file of the code is named. A resource without a landing page
    has no such key.
    """

    kind: ClassVar[str] = "resource"

    organisation_ref: str = Field(alias="organisationRef")
    natural_key: str | None = Field(None, alias="naturalKey")
    title: str | None = None
    landing_page: str | None = None
    code_repo: CodeRepo | None = None
    info: JsonText | None = None
    files_taken_at: Timestamp | None = Field(None, alias="filesTakenAt")
    """The time at which a transform last took the pending files."""
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    def with_natural_key(self) -> "Resource":
        """Set the natural key from landing page, code and title; returns the resource."""
        code = self.code_repo or CodeRepo()
        directory = code.directory()
        part = ["title", self.title] if directory is None else ["directory", directory]
        if directory is not None and code.pipeline:
            part.append(code.pipeline)
        self.natural_key = self.landing_page and json.dumps([self.landing_page, code.url, *part], ensure_ascii=False)
        return self

    class Settings:
        name = "resources"
        indexes = [
            IndexModel(
                [("organisationRef", 1), ("naturalKey", 1)],
                unique=True,
                partialFilterExpression={"naturalKey": {"$type": "string"}},
            ),
            IndexModel([("organisationRef", 1), ("_id", 1)]),
            IndexModel([("organisationRef", 1), ("title", 1), ("_id", 1)]),
            IndexModel([("landing_page", 1), ("_id", 1)]),
            IndexModel([("title", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
            IndexModel([("updated_at", 1), ("_id", 1)]),
            IndexModel([("code_repo.monitor_dirs.prefix", 1)]),
        ]
