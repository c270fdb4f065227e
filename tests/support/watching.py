"""Resources that watch directories, and reports of files in them."""

from datetime import UTC, datetime, timedelta

import documents
from documents.catalogue.resource import CodeRepo, MonitorDir, SourceFile
from tests.support.builders import COMMIT, REPOSITORY, keep
from tests.support.catalogue import USER_ERRORS, Answer, do

REPORT = f"""mutation ($input: ReportFilesInput!) {{ reportFiles(input: $input) {{
  due {{ id status resource {{ title }} cause {{ kind files message }} }} {USER_ERRORS} }} }}"""

WATCHED_SINCE = datetime(2024, 3, 1, tzinfo=UTC)
BEFORE, AFTER = WATCHED_SINCE - timedelta(days=1), WATCHED_SINCE + timedelta(days=1)
IN = "gs://bucket/in/"


async def watch(title: str, *urls: str, since: datetime = WATCHED_SINCE) -> documents.Resource:
    """A resource that has watched these directories for a while."""
    directories = [MonitorDir(url=url, watched_since=since) for url in urls]
    source = [SourceFile(path="main.py", commit=COMMIT)]
    code = CodeRepo(url=REPOSITORY, source=source, monitor_dirs=directories)
    resource = documents.Resource(organisation_ref="organisation_0", title=title, code_repo=code)
    await keep(resource)
    return resource


def a_file(name: str = "a.csv", generation: int | str = 5, at: datetime | None = AFTER, below: str = IN) -> Answer:
    """A file as it is reported."""
    file = {"url": f"{below}{name}", "generation": str(generation)}
    return file if at is None else file | {"updatedAt": at.isoformat()}


async def report(*files: Answer) -> list[Answer]:
    """Report files; returns the transforms that became due."""
    payload = await do(REPORT, files=list(files))
    assert payload["userErrors"] == []
    due: list[Answer] = payload["due"]
    return due
