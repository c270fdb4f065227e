"""A group of processes that together may take only so much memory, where the system lets one be made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graph.engine.available_resources import CGROUP_ROOT, OWN_CGROUP


@contextmanager
def limit_memory(memory: int) -> Iterator[Path | None]:
    """Create a group that may take so many bytes; yields its folder, None if it cannot be created."""
    made = None
    for parent, limit in _places():
        group = parent / f"provenance-bench-{os.getpid()}"
        try:
            group.mkdir()
            made = group
            (group / limit).write_text(str(memory))
            break
        except OSError:
            if made is not None:
                made.rmdir()
                made = None
    try:
        yield made
    finally:
        if made is not None:
            made.rmdir()


def command_in_group(group: Path, command: list[str]) -> list[str]:
    """The command that runs `command` in a group."""
    return ["sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh", *command]


def _places() -> Iterator[tuple[Path, str]]:
    """Groups in which one might be made, and the name of the file with its limit: of version 1 and 2."""
    lines = OWN_CGROUP.read_text().splitlines() if OWN_CGROUP.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield CGROUP_ROOT / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
            yield CGROUP_ROOT / "memory", "memory.limit_in_bytes"
        elif not controllers:
            yield CGROUP_ROOT / path.lstrip("/"), "memory.max"
            yield CGROUP_ROOT, "memory.max"
