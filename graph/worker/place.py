"""The folder that a command gets for itself."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from graph.worker.guard import Guard


@dataclass(frozen=True)
class Place:
    """A fresh folder: where the command starts, what it takes, and what it leaves."""

    folder: Path

    @property
    def work(self) -> Path:
        """Where the command starts."""
        return self.folder / "work"

    @property
    def inputs(self) -> Path:
        """Outputs of the steps before."""
        return self.folder / "inputs"

    @property
    def outputs(self) -> Path:
        """What is uploaded."""
        return self.folder / "outputs"

    @property
    def activity_file(self) -> Path:
        """What is known of the activity."""
        return self.folder / "activity.json"


@asynccontextmanager
async def a_place(parent: Path | None, guard: Guard, *, keep: bool) -> AsyncIterator[Place]:
    """A place for the block; removed after it, unless it is to be kept. Raises OSError."""
    place = Place(Path(tempfile.mkdtemp(prefix="provenance-work-", dir=parent)))
    if not keep:
        guard.watch_folder(place.folder)
    for folder in (place.work, place.inputs, place.outputs):
        folder.mkdir()
    try:
        yield place
    finally:
        if not keep:
            await asyncio.to_thread(shutil.rmtree, place.folder, ignore_errors=True)
            guard.forget_folder(place.folder)
