"""The commits that changed a file of a checkout: as `git log -- FILE` lists them, but also before it was moved."""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from documents.base import now
from resolvers.imports.git_checkout.git_directory import GitDirectory, GitReadError
from resolvers.imports.git_checkout.objects import GitObjects

MAX_COMMITS = 200_000
MAX_PARENTS = 500_000
"""Parents of all commits together."""
MAX_CHANGES = 1_000_000
"""Changes of all relevant files in all commits."""
MAX_STEPS = 20_000_000
"""Commits visited for all files of a checkout together."""

PathFilter = Callable[[str], bool]
"""Whether a path in the repository is relevant."""


class Change(NamedTuple):
    """The blob that a file became, None if it was deleted, and the path that it had before.

    If a file was moved away, earlier commits of its name are not searched: they belong to the moved file.
    """

    blob: str | None
    former: str


Changes = dict[str, Change]
"""Changes by path."""

NO_PATH = ""
FILES = (b"100644", b"100755")
"""Modes of regular files. Other modes are those of links and submodules."""


@dataclass(frozen=True)
class Touch:
    """A commit that changed a file, its time, and the blob that the file became.

    `at` is None for an invalid time, `blob` if the commit deleted the file.
    """

    commit: str
    at: datetime | None
    blob: str | None


@dataclass
class Commit:
    """A commit with the indexes of its parents, and the changes from each; a root commit's changes are from nothing."""

    id: str
    seconds: int
    parents: list[int]
    changes: list[Changes] = field(default_factory=list)


class Commits:
    """The checked-out commit and its ancestors, newest first, each before its parents."""

    def __init__(self, commits: Sequence[Commit]) -> None:
        self._commits = commits
        self._paths = _by_directory({path for commit in commits for changes in commit.changes for path in changes})
        self._indexes = {commit.id: index for index, commit in enumerate(commits)}
        self._next_relevant = _next_relevant(commits)
        self._steps = 0

    def __contains__(self, commit: str) -> bool:
        return commit in self._indexes

    def touches(self, path: str, commit: str | None = None) -> Iterator[Touch]:
        """The commits that changed a file, newest first, back from `commit` or from the checked-out one.

        If a merge left the file as it was in one of its parents, only that parent is followed, as git does. Raises
        GitReadError if the search for all files takes too many steps.
        """
        heap = [(self._next_relevant[self._indexes[commit] if commit else 0], path)]
        while heap:
            index, name = heapq.heappop(heap)
            while heap and heap[0] == (index, name):
                heapq.heappop(heap)
            self._count_step()
            current = self._commits[index]
            if all(name in changes for changes in current.changes):
                yield Touch(current.id, _valid_time(current.seconds), current.changes[0][name].blob)
            for parent, before in _before(current, name):
                heapq.heappush(heap, (self._next_relevant[parent], before))

    def paths_in(self, directory: str) -> list[str]:
        """The relevant files in a directory, including deleted ones, by name."""
        return self._paths.get(directory, [])

    def last(self, path: str, commit: str | None = None) -> Touch | None:
        """The last change of a file up to `commit`; None if the file did not exist then."""
        touch = next(self.touches(path, commit), None)
        return touch if touch and touch.blob else None

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise GitReadError("It has more history than can be searched for all these files.")


def _before(commit: Commit, name: str) -> list[tuple[int, str]]:
    """The indexes of the parents in which to search for a file before a commit, each with the file's name there."""
    comparisons = list(zip(commit.parents, commit.changes, strict=False))
    unchanged = next((parent for parent, changes in comparisons if name not in changes), None)
    if unchanged is not None:
        return [(unchanged, name)]
    names = ((parent, changes[name].former) for parent, changes in comparisons)
    return [(parent, former) for parent, former in names if former != NO_PATH]


def blob_id(content: bytes, like: str) -> str:
    """The git id of a file's bytes, by the hash function of another id."""
    digest = hashlib.sha1 if len(like) == 40 else hashlib.sha256
    return digest(b"blob %d\0" % len(content) + content).hexdigest()


def read_commits(
    objects: GitObjects, directory: GitDirectory, is_relevant: PathFilter, patterns: Sequence[str]
) -> Commits:
    """The commits of a checkout, with their changes of relevant files that match a pattern. Raises GitReadError.

    A file is followed across moves that did not change it.
    """
    commits = _commits(objects, directory.head)
    comparisons = [(commit, line) for commit in commits for line in _comparisons(commit, commits)]
    options = ("--stdin", "--always", "--root", "-r", "-z", "--raw", "--find-renames=100%", "--no-abbrev")
    answers = objects.records("diff-tree", *options, "--", *patterns, input_lines=(line for _, line in comparisons))
    started = 0
    recorder = _ChangeRecorder(is_relevant)
    for record in answers:
        if record.startswith(b":"):
            recorder.add(record, answers, comparisons[started - 1][0].changes[-1])
        else:
            comparisons[started][0].changes.append({})
            started += 1
    if started != len(comparisons):
        raise GitReadError("git does not list the changes of its commits.")
    return Commits(commits)


def _commits(objects: GitObjects, head: str) -> list[Commit]:
    options = ("--topo-order", "--parents", "--timestamp", f"--max-count={MAX_COMMITS + 1}")
    lines: list[list[str]] = []
    parents = 0
    for line in objects.records("rev-list", *options, head, "--", end=b"\n"):
        lines.append(line.decode().split())
        parents += len(lines[-1]) - 2
        if len(lines) > MAX_COMMITS or parents > MAX_PARENTS:
            raise GitReadError(f"It has more than {MAX_COMMITS:,} commits, or {MAX_PARENTS:,} parents of them.")
    places = {line[1]: place for place, line in enumerate(lines)}
    return [Commit(line[1], int(line[0]), [places[parent] for parent in line[2:]]) for line in lines]


def _comparisons(commit: Commit, commits: Sequence[Commit]) -> list[str]:
    """The comparisons for git to make: the commit with each of its parents, or with nothing."""
    return [f"{commit.id} {commits[parent].id}" for parent in commit.parents] or [commit.id]


class _ChangeRecorder:
    """Records the changes of commits, newest first: a file's former name is known before the commits that use it."""

    def __init__(self, is_relevant: PathFilter) -> None:
        self._is_relevant_path = is_relevant
        self._former: set[str] = set()
        self._left = MAX_CHANGES

    def add(self, record: bytes, answers: Iterator[bytes], changes: Changes) -> None:
        """Record a change such as `:100644 100644 <blob> <blob> M`, before its path, or two paths of a moved file."""
        _, mode, _, blob, status = record.split(b" ")
        former = name = _text(next(answers, b""))
        if status.startswith(b"R"):
            name = _text(next(answers, b""))
            if self._is_relevant(former):
                changes[former] = Change(None, NO_PATH)
        if self._is_relevant(name):
            changes[name] = Change(blob.decode() if mode in FILES else None, former)
            self._former |= {former} - {name}
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise GitReadError(f"It has more than {MAX_CHANGES:,} changes of these files.")

    def _is_relevant(self, name: str) -> bool:
        return name in self._former or self._is_relevant_path(name)


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError:
        return NO_PATH


def _by_directory(paths: Iterable[str]) -> dict[str, list[str]]:
    by_directory: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        by_directory[path.rpartition("/")[0]].append(path)
    return by_directory


def _next_relevant(commits: Sequence[Commit]) -> list[int]:
    """For each commit, the index of the next one to visit: itself, or its next ancestor with relevant changes."""
    indexes = list(range(len(commits)))
    for index in range(len(commits) - 1, -1, -1):
        commit = commits[index]
        if commit.parents and not commit.changes[0]:
            indexes[index] = indexes[commit.parents[0]]
    return indexes


def _valid_time(seconds: int) -> datetime | None:
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return at if at <= now() else None
