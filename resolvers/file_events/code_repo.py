"""Code repositories: validating a client's description, and freezing the code on an activity."""

import re
from typing import Any

from documents.activities.activity import CodeReference
from documents.catalogue.resource import CodeProvider, CodeRepo, MonitorDir, SourceFile
from documents.storage.file_url import MAX_LEVELS
from resolvers.user_errors import InvalidInput, LimitExceeded
from resolvers.validators import MAX_URL_LENGTH, check_commit, check_line, check_location, check_url

Given = dict[str, Any]

MOST_FILES = 500
MOST_DIRECTORIES = 100


def read_code_repo(given: Given, *path: str) -> CodeRepo:
    """The repository that a client describes. Raises InvalidInput and LimitExceeded."""
    source, directories = given.get("source") or [], given.get("monitor_dirs") or []
    _bounded(source, MOST_FILES, *path, "source")
    _bounded(directories, MOST_DIRECTORIES, *path, "monitorDirs")
    files = [_source_file(file, *path, "source", str(number)) for number, file in enumerate(source)]
    watching: dict[str, MonitorDir] = {}
    for number, url in enumerate(directories):
        directory = _monitor_dir(url, *path, "monitorDirs", str(number))
        watching.setdefault(directory.prefix, directory)
    if len({file.path for file in files}) < len(files):
        raise InvalidInput("source contains a file twice.", *path, "source")
    return CodeRepo(
        provider=CodeProvider(given.get("provider") or CodeProvider.GITHUB),
        url=check_url(given.get("url"), *path, "url"),
        pipeline=check_line(given.get("pipeline"), *path, "pipeline"),
        source=files,
        monitor_dirs=list(watching.values()),
    )


def watched(given: list[MonitorDir], before: CodeRepo | None) -> list[MonitorDir]:
    """The directories, with the counts of those that were watched before, however their URLs are spelled now."""
    known = {directory.prefix: directory for directory in before.monitor_dirs} if before else {}
    return [known.get(one.prefix, one).model_copy(update={"url": one.url}) for one in given]


def frozen(code: CodeRepo | None) -> list[CodeReference]:
    """The exact code that an activity runs. The repository is empty where the resource names none."""
    if code is None:
        return []
    return [CodeReference(repository=code.url or "", path=file.path, commit=file.commit) for file in code.source]


def check_page(value: str, *path: str) -> str:
    """The address of a page, which people also write without its scheme. It is kept and compared as it is."""
    if re.match(r"[\w-]+(\.[\w-]+)+(/|$)", value) and len(value) <= MAX_URL_LENGTH:
        return check_url(f"https://{value}", *path).removeprefix("https://")
    return check_url(value, *path)


def _monitor_dir(url: str, *path: str) -> MonitorDir:
    directory = MonitorDir(url=check_location(url, *path))
    if directory.prefix.count("/") > MAX_LEVELS:
        raise InvalidInput(f"{path[-2]} {url[:100]!r} has more than {MAX_LEVELS} levels.", *path)
    return directory


def _source_file(given: Given, *path: str) -> SourceFile:
    return SourceFile(
        path=check_line(given["path"], *path, "path"), commit=check_commit(given["commit"], *path, "commit")
    )


def _bounded(values: list[Any], most: int, *path: str) -> None:
    if len(values) > most:
        raise LimitExceeded(f"{path[-1]} lists {len(values)}; at most {most} are kept.", *path)
