"""The location of a resource's code: GraphQL types and inputs."""

from datetime import datetime

import strawberry

from documents.catalogue import resource
from graph.core.enums import describe_enum
from graph.core.mutation import optional, required, without_unset
from graph.core.view import stored, view
from resolvers.file_events.code_repo import CodeRepoValues, SourceFileValues

CodeProvider = describe_enum(
    resource.CodeProvider,
    "A host of code repositories.",
    GITHUB="Hosted on GitHub.",
    GITLAB="Hosted on GitLab, either gitlab.com or a self-managed server.",
    BITBUCKET="Hosted on Bitbucket.",
    OTHER="Hosted elsewhere.",
)


@view(resource.SourceFile)
class SourceFile:
    """A source file of a pipeline at the commit of its latest run."""

    path: str = stored(description="Path of the source file within the repository.")
    commit: str = stored(description="Hash of the commit.")


@view(resource.MonitorDir)
class MonitorDir:
    """A monitored directory: new or changed files in it make a transform due."""

    url: str = stored(description="The directory's address, such as gs://bucket/folder/.")
    watched_since: datetime | None = stored(
        description="When monitoring began. Files that were in the directory before do not make a transform due. Null "
        "when unknown."
    )
    last_seen_at: datetime | None = stored(
        description="When a new file, or a new generation of a known file, was last reported in the directory. Null "
        "before the first such report."
    )
    pending_files: int = stored(
        description="Number of files that appeared or changed since the latest transform was started."
    )


@view(resource.CodeRepo)
class CodeRepo:
    """The location of a resource's code, and the directories that it monitors."""

    provider: CodeProvider = stored(description="The host of the repository.")  # type: ignore[valid-type]
    url: str | None = stored(description="URL of the repository.")
    pipeline: str | None = stored(description="Name of the pipeline, when its folder contains several pipelines.")
    source: list[SourceFile] = stored(
        description="The pipeline's source files, each with its commit at the latest run. A list rather than a map, "
        "because file names contain dots."
    )
    monitor_dirs: list[MonitorDir] = stored(
        description="Monitored directories: a new or changed file below one of them makes a transform due."
    )


@strawberry.input(description="A source file of a pipeline at a commit.")
class SourceFileInput:
    path: str = required("Path of the source file within the repository.")
    commit: str = required("Hash of the commit, never the name of a branch.")


@strawberry.input(description="The location of a pipeline's code, and the directories that it monitors.")
class CodeRepoInput:
    provider: CodeProvider = optional("The host of the repository.", default=resource.CodeProvider.GITHUB)  # type: ignore[valid-type]
    url: str | None = optional("URL of the repository.")
    pipeline: str | None = optional(
        "Name of the pipeline, when the folder of its first source file contains several. Each pipeline is a resource "
        "of its own."
    )
    source: list[SourceFileInput] | None = optional(
        "The pipeline's source files, each with its commit.", default_factory=list
    )
    monitor_dirs: list[str] | None = optional(
        "Addresses of monitored directories, whose new or changed files make a transform due. In an address such as "
        "gs://bucket/my data#1/ everything after the bucket is taken literally, without percent-encoding.",
        default_factory=list,
    )


def code_repo_values(repository: CodeRepoInput) -> CodeRepoValues:
    """The repository as plain values, without the fields left out."""
    source = [SourceFileValues(path=file.path, commit=file.commit) for file in repository.source or []]
    return without_unset(
        CodeRepoValues(
            provider=repository.provider,
            url=repository.url,
            pipeline=repository.pipeline,
            source=source,
            monitor_dirs=repository.monitor_dirs,
        )
    )
