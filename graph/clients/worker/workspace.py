"""The workspace: the folder in which a command runs."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from graph.clients.worker import log
from graph.clients.worker.stop import Stop
from graph.clients.worker.watchdog import Watchdog

MIN_FREE_BYTES = 1_048_576
"""Free bytes without which a command is not started."""


@dataclass(frozen=True)
class Workspace:
    """A fresh folder: the command's working directory, its inputs and its outputs."""

    folder: Path

    @property
    def work(self) -> Path:
        """The command's working directory."""
        return self.folder / "work"

    @property
    def inputs(self) -> Path:
        """Outputs of the preceding steps."""
        return self.folder / "inputs"

    @property
    def outputs(self) -> Path:
        """Files to upload."""
        return self.folder / "outputs"

    @property
    def activity_file(self) -> Path:
        """The file that describes the activity."""
        return self.folder / "activity.json"

    @property
    def parameters_file(self) -> Path:
        """The file with the parameters alone."""
        return self.folder / "parameters.json"

    @property
    def used_file(self) -> Path:
        """The file in which the command notes what it reads."""
        return self.folder / "used"


@asynccontextmanager
async def open_workspace(
    parent: Path | None, watchdog: Watchdog, stop: Stop, *, keep: bool
) -> AsyncIterator[Workspace]:
    """A workspace for the block, removed after it unless it is to be kept. Raises OSError.

    A worker that stops leaves the removal to the watchdog, since it may take long.
    """
    workspace = Workspace(Path(tempfile.mkdtemp(prefix="provenance-work-", dir=parent)))
    if not keep:
        watchdog.watch_folder(workspace.folder)
    try:
        for folder in (workspace.work, workspace.inputs, workspace.outputs):
            folder.mkdir()
        yield workspace
    finally:
        if not (keep or stop.requested.is_set()):
            await asyncio.to_thread(_remove, workspace.folder)
            watchdog.forget_folder(workspace.folder)


def check_space(parent: Path | None) -> None:
    """Check that there is space for a workspace. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="provenance-work-", dir=parent) as made:
        (Path(made) / "room").write_bytes(bytes(MIN_FREE_BYTES))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("%s cannot be removed completely, and takes up space.", folder)
