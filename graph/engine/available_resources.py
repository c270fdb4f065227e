"""The memory and cores available to the process: those of its control group, else the machine's."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def memory_limit(own: Path = OWN_CGROUP, mounted: Path = CGROUP_ROOT) -> int:
    """Bytes of memory that the process may use, the smallest of all limits set for it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(own, mounted)])


def cores() -> int:
    """The number of cores that the process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limits(own: Path, mounted: Path) -> Iterator[int]:
    """The limits of the process's control group and its ancestors, of version 1 or 2."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits_along(mounted, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_along(mounted / "memory", path, "memory.limit_in_bytes")


def _limits_along(mounted: Path, path: str, name: str) -> Iterator[int]:
    # A container's own group is mounted as the root, and the path may be one that only the host knows.
    group = mounted / path.lstrip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to(mounted) and (limit := _limit(folder / name)) is not None:
            yield limit


def _limit(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
