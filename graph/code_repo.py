"""Where a resource's code lives, as clients see and give it."""

from __future__ import annotations

from datetime import datetime

import strawberry

from documents import resource
from graph.enums import described
from graph.mutation import optional, wanted
from graph.view import stored, view

CodeProvider = described(
    resource.CodeProvider,
    "Who hosts a repository.",
    GITHUB="GitHub.",
    GITLAB="GitLab, theirs or one's own.",
    BITBUCKET="Bitbucket.",
    OTHER="Anybody else.",
)


@view(resource.SourceFile)
class SourceFile:
    """A file of a pipeline at the commit of its latest run."""

    path: str = stored(description="Where it lies in the repository.")
    commit: str = stored(description="The commit's hash.")


@view(resource.MonitorDir)
class MonitorDir:
    """A directory whose new or changed files make a transform due."""

    url: str = stored(description="Its address, such as gs://bucket/folder/.")
    watched_since: datetime | None = stored(
        description="Since when it is watched: files that were there before make nothing due. Null when not known."
    )
    last_seen_at: datetime | None = stored(
        description="When a file in it was last reported that was not known, or was known in another generation."
    )
    pending_files: int = stored(description="Files that appeared or changed since the latest transform was begun.")


@view(resource.CodeRepo)
class CodeRepo:
    """Where a resource's code lives, and what the code watches."""

    provider: CodeProvider = stored(description="Who hosts it.")  # type: ignore[valid-type]
    url: str | None = stored(description="Its address.")
    source: list[SourceFile] = stored(
        description="Commit of each file at the latest run. A list, because file names contain dots."
    )
    monitor_dirs: list[MonitorDir] = stored(
        description="A new or changed file below one of these makes a transform due."
    )


@strawberry.input(description="A file of a pipeline at a commit.")
class SourceFileInput:
    path: str = wanted("Where it lies in the repository.")
    commit: str = wanted("The commit's hash, never the name of a branch.")


@strawberry.input(description="Where code lives, and what it watches.")
class CodeRepoInput:
    provider: CodeProvider = wanted("Who hosts it.", default=resource.CodeProvider.GITHUB)  # type: ignore[valid-type]
    url: str | None = optional("Its address.")
    source: list[SourceFileInput] | None = wanted("The files that run, each at its commit.", default_factory=list)
    monitor_dirs: list[str] | None = wanted(
        "Addresses of directories whose new or changed files make a transform due.", default_factory=list
    )
