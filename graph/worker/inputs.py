"""Fetching what a step takes: the outputs of the steps that it waits for."""

import asyncio
from pathlib import Path
from urllib.parse import quote

from graph.worker.claimed import Claimed
from graph.worker.files import AT_ONCE, NotMoved, fetch, together
from graph.worker.queries import INPUT_FILES
from graph.worker.server import Json, Server, until_answered

PAGE = 100


async def fetch_inputs(server: Server, claimed: Claimed, folder: Path) -> int:
    """Put the step's input files into a folder for each step that they come from; how many there are.

    Raises NotMoved, OSError.
    """
    awaited = claimed.told["dependsOn"]
    if not awaited:
        return 0
    for step in awaited:
        (folder / folder_name(step["key"])).mkdir(exist_ok=True)
    count, after = 0, None
    while True:
        page = await _page(server, claimed, after)
        moving = asyncio.Semaphore(AT_ONCE)
        await together(_fetch(server, file, folder, moving) for file in page)
        count += len(page)
        if len(page) < PAGE:
            return count
        after = page[-1]["outputId"]


def folder_name(key: str) -> str:
    """A step's key as the name of a folder: the key itself, unless that would lead elsewhere."""
    return quote(key, safe="") if "/" in key or key in (".", "..") else key


async def _page(server: Server, claimed: Claimed, after: str | None) -> list[Json]:
    node = (await server.ask(INPUT_FILES, id=claimed.id, first=PAGE, after=after))["node"]
    if node is None:
        raise NotMoved("The step cannot be read any more.")
    files: list[Json] = node["inputFiles"]
    return files


async def _fetch(server: Server, told: Json, folder: Path, moving: asyncio.Semaphore) -> None:
    name = told["fileName"]
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise NotMoved(f"{name!r} is no name for a file.")
    if told["downloadUrl"] is None:
        raise NotMoved(f"The bytes of {name} lie elsewhere, where this worker cannot fetch them.")
    file = (folder / folder_name(told["stepKey"])).joinpath(*parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    async with moving:
        await until_answered(lambda: fetch(server, told["downloadUrl"], file, told["sha256"]))
