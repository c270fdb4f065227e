"""Code repositories: validating a client's description, and freezing the code on an activity."""

import re
from collections.abc import Sequence
from typing import TypedDict

from documents.activities.activity import CodeReference
from documents.catalogue.resource import CodeProvider, CodeRepo, MonitorDir, SourceFile
from documents.storage.file_url import MAX_LEVELS
from resolvers.user_errors import InvalidInput, LimitExceeded
from resolvers.validators import MAX_URL_LENGTH, check_commit, check_line, check_location, check_url


class SourceFileValues(TypedDict):
    """A client's description of a source file."""

    path: str
    commit: str


class CodeRepoValues(TypedDict, total=False):
    """A client's description of a repository."""

    provider: CodeProvider | str
    url: str | None
    pipeline: str | None
    source: Sequence[SourceFileValues]
    monitor_dirs: Sequence[str] | None


MAX_SOURCE_FILES = 500
MAX_DIRECTORIES = 100


def read_code_repo(values: CodeRepoValues, *path: str) -> CodeRepo:
    """The repository that a client describes. Raises InvalidInput and LimitExceeded."""
    source, directories = values.get("source") or [], values.get("monitor_dirs") or []
    _check_count(source, MAX_SOURCE_FILES, *path, "source")
    _check_count(directories, MAX_DIRECTORIES, *path, "monitorDirs")
    files = [_source_file(file, *path, "source", str(number)) for number, file in enumerate(source)]
    monitor_dirs: dict[str, MonitorDir] = {}
    for number, url in enumerate(directories):
        directory = _monitor_dir(url, *path, "monitorDirs", str(number))
        monitor_dirs.setdefault(directory.prefix, directory)
    if len({file.path for file in files}) < len(files):
        raise InvalidInput("source contains a file twice.", *path, "source")
    return CodeRepo(
        provider=CodeProvider(values.get("provider") or CodeProvider.GITHUB),
        url=check_url(values.get("url"), *path, "url"),
        pipeline=check_line(values.get("pipeline"), *path, "pipeline"),
        source=files,
        monitor_dirs=list(monitor_dirs.values()),
    )


def with_earlier_counts(directories: list[MonitorDir], before: CodeRepo | None) -> list[MonitorDir]:
    """The directories, with the counts of those that were watched before, however their URLs are spelled now."""
    earlier = {directory.prefix: directory for directory in before.monitor_dirs} if before else {}
    return [
        earlier.get(directory.prefix, directory).model_copy(update={"url": directory.url}) for directory in directories
    ]


def code_references(code: CodeRepo | None) -> list[CodeReference]:
    """The exact code that an activity runs. The repository is empty where the resource names none."""
    if code is None:
        return []
    return [CodeReference(repository=code.url or "", path=file.path, commit=file.commit) for file in code.source]


def check_page_url(value: str, *path: str) -> str:
    """The URL of a page, which people also write without its scheme. It is stored and compared as written."""
    if re.match(r"[\w-]+(\.[\w-]+)+(/|$)", value) and len(value) <= MAX_URL_LENGTH:
        return check_url(f"https://{value}", *path).removeprefix("https://")
    return check_url(value, *path)


def _monitor_dir(url: str, *path: str) -> MonitorDir:
    directory = MonitorDir(url=check_location(url, *path))
    if directory.prefix.count("/") > MAX_LEVELS:
        raise InvalidInput(f"{path[-2]} {url[:100]!r} has more than {MAX_LEVELS} levels.", *path)
    return directory


def _source_file(values: SourceFileValues, *path: str) -> SourceFile:
    return SourceFile(
        path=check_line(values["path"], *path, "path"), commit=check_commit(values["commit"], *path, "commit")
    )


def _check_count(values: Sequence[object], limit: int, *path: str) -> None:
    if len(values) > limit:
        raise LimitExceeded(f"{path[-1]} lists {len(values)}; at most {limit} are allowed.", *path)
