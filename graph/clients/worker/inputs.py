"""Fetching a step's inputs: the outputs of the steps that it depends on, and those that it was told to use."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.client import GraphQLClient, Json
from graph.clients.worker.file_names import ABOUT_NAMES, FileNames, InvalidFileName
from graph.clients.worker.queries import INPUT_FILES
from graph.clients.worker.transfer import MAX_TRANSFERS, TransferError, fetch, gather_or_cancel

PAGE_SIZE = 100


@dataclass(frozen=True)
class FetchedInput:
    """An output that was fetched into a file. `was_known` says whether the server knew its hash."""

    id: str
    path: Path
    sha256: str
    was_known: bool


async def fetch_inputs(client: GraphQLClient, claimed: ClaimedActivity, folder: Path) -> list[FetchedInput]:
    """Fetch the step's input files into a folder for each step that they come from.

    Raises InvalidFileName, TransferError, IncompatibleServer, RetryTimeout and OSError.
    """
    folders = Folders(folder)
    for step in claimed.fields["dependsOn"]:
        folders.add(step["key"])
    fetched: list[FetchedInput] = []
    after = None
    while True:
        page = await _page(client, claimed, after)
        files: list[Json] = page["nodes"]
        for file in files:
            folders.add(file["stepKey"]).add(file["name"])
        moving = asyncio.Semaphore(MAX_TRANSFERS)
        await gather_or_cancel(_fetch(client, file, folder, moving, fetched) for file in files)
        if not page["pageInfo"]["hasNextPage"]:
            return fetched
        after = page["pageInfo"]["endCursor"]


class Folders:
    """A folder for each step, by its key, with the names of its files."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._keys = FileNames("The step's key")
        self._names: dict[str, FileNames] = {}

    def add(self, key: str) -> FileNames:
        """The names in the folder of a key, which is created if needed. Raises InvalidFileName and OSError."""
        if key not in self._names:
            self._keys.add(folder_name(key))
            (self._parent / folder_name(key)).mkdir(exist_ok=True)
            self._names[key] = FileNames(f"Step {key}'s output")
        return self._names[key]


def folder_name(key: str) -> str:
    """A step's key as the name of a folder: the key itself, unless it would lead elsewhere."""
    if key in (".", ".."):
        return key.replace(".", "%2E")
    return quote(key, safe="") if "/" in key else key


async def _page(client: GraphQLClient, claimed: ClaimedActivity, after: str | None) -> Json:
    node = (await client.query(INPUT_FILES, id=claimed.id, first=PAGE_SIZE, after=after))["node"]
    if node is None:
        raise TransferError("The step cannot be read any more.")
    page: Json = node["inputFiles"]
    return page


async def _fetch(
    client: GraphQLClient, input_file: Json, folder: Path, moving: asyncio.Semaphore, fetched: list[FetchedInput]
) -> None:
    """Fetch an input file and add it to those fetched."""
    name, sha256 = input_file["name"], input_file["sha256"]
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise InvalidFileName(f"{name!r} is not a valid file name.")
    if input_file["downloadUrl"] is None:
        raise TransferError(f"The bytes of {name} are stored where workers cannot fetch them.", retryable=False)
    file = (folder / folder_name(input_file["stepKey"])).joinpath(*parts)
    async with moving:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            received = await client.retry_until_answered(lambda: fetch(client, input_file["downloadUrl"], file, sha256))
        except OSError as error:
            if error.errno not in ABOUT_NAMES:
                raise
            raise InvalidFileName(
                f"Step {input_file['stepKey']}'s output {name!r} cannot be a file here: {error}."
            ) from error
    fetched.append(FetchedInput(input_file["outputId"], file, received, sha256 is not None))
