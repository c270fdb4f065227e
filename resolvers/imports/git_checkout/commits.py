"""Commits that changed a file of a checkout, as `git log -- FILE` lists them, and before the file was moved as well."""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from documents.base import now
from resolvers.imports.git_checkout.git_directory import GitDirectory, Unreadable
from resolvers.imports.git_checkout.objects import GitObjects

MAX_COMMITS = 200_000
MAX_PARENTS = 500_000
"""Parents of all commits together."""
MAX_CHANGES = 1_000_000
"""Changes of all relevant files, in all commits."""
MAX_STEPS = 20_000_000
"""Commits visited for all files of a checkout together."""

Wanted = Callable[[str], bool]
"""Whether a path in the repository is relevant."""


class Change(NamedTuple):
    """The blob that a file became, None where it was deleted, and the path that it had before.

    Where a file was moved away, earlier commits of its name are not searched: these belong to the moved file.
    """

    blob: str | None
    former: str


Changes = dict[str, Change]
"""Changes by path."""

NO_PATH = ""
FILES = (b"100644", b"100755")
"""Modes of regular files. Others are links and submodules."""


@dataclass(frozen=True)
class Touch:
    """A commit that changed a file, its time, and the blob that the file became.

    `at` is None for an invalid time, `blob` where the commit deleted the file.
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
    """The commits that lead to the one that is checked out, newest first, each before its parents."""

    def __init__(self, commits: Sequence[Commit]) -> None:
        self._commits = commits
        self._paths = _by_directory({path for one in commits for changes in one.changes for path in changes})
        self._places = {one.id: place for place, one in enumerate(commits)}
        self._following = _following(commits)
        self._steps = 0

    def __contains__(self, commit: str) -> bool:
        return commit in self._places

    def touches(self, path: str, commit: str | None = None) -> Iterator[Touch]:
        """The commits that changed a file, newest first, back from `commit` or from the one that is checked out.

        Where a merge left the file as it was in one of its parents, only that parent is followed, as git does. Raises
        Unreadable when finding them for all files takes too long.
        """
        todo = [(self._following[self._places[commit] if commit else 0], path)]
        while todo:
            place, name = heapq.heappop(todo)
            while todo and todo[0] == (place, name):
                heapq.heappop(todo)
            self._count_step()
            one = self._commits[place]
            if all(name in changes for changes in one.changes):
                yield Touch(one.id, _instant(one.seconds), one.changes[0][name].blob)
            for parent, before in _before(one, name):
                heapq.heappush(todo, (self._following[parent], before))

    def paths_in(self, directory: str) -> list[str]:
        """The relevant files in a directory, including deleted ones, by name."""
        return self._paths.get(directory, [])

    def last(self, path: str, commit: str | None = None) -> Touch | None:
        """The last change of a file that existed at `commit`, None when it did not."""
        touch = next(self.touches(path, commit), None)
        return touch if touch and touch.blob else None

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise Unreadable("It has more history than can be searched for all these files.")


def _before(one: Commit, name: str) -> list[tuple[int, str]]:
    """Where to look for a file before a commit: the indexes of parents, and its name there."""
    found = list(zip(one.parents, one.changes, strict=False))
    same = next((parent for parent, changes in found if name not in changes), None)
    names = [(parent, changes[name].former) for parent, changes in found] if same is None else [(same, name)]
    return [one for one in names if one[1] != NO_PATH]


def blob_id(content: bytes, alike: str) -> str:
    """The git id of a file's bytes, by the hash function of another id."""
    digest = hashlib.sha1 if len(alike) == 40 else hashlib.sha256
    return digest(b"blob %d\0" % len(content) + content).hexdigest()


def read_commits(objects: GitObjects, directory: GitDirectory, wanted: Wanted, patterns: Sequence[str]) -> Commits:
    """The commits of a checkout, with their changes of wanted files that match a pattern. Raises Unreadable.

    A file is followed across moves that did not change it.
    """
    commits = _commits(objects, directory.head)
    given = [(one, line) for one in commits for line in _comparisons(one, commits)]
    options = ("--stdin", "--always", "--root", "-r", "-z", "--raw", "--find-renames=100%", "--no-abbrev")
    answers = objects.records("diff-tree", *options, "--", *patterns, given=(line for _, line in given))
    told = 0
    noting = _Noting(wanted)
    for record in answers:
        if record.startswith(b":"):
            noting.note(record, answers, given[told - 1][0].changes[-1])
        else:
            given[told][0].changes.append({})
            told += 1
    if told != len(given):
        raise Unreadable("git does not list the changes of its commits.")
    return Commits(commits)


def _commits(objects: GitObjects, head: str) -> list[Commit]:
    options = ("--topo-order", "--parents", "--timestamp", f"--max-count={MAX_COMMITS + 1}")
    lines: list[list[str]] = []
    parents = 0
    for line in objects.records("rev-list", *options, head, "--", end=b"\n"):
        lines.append(line.decode().split())
        parents += len(lines[-1]) - 2
        if len(lines) > MAX_COMMITS or parents > MAX_PARENTS:
            raise Unreadable(f"It has more than {MAX_COMMITS:,} commits, or {MAX_PARENTS:,} parents of them.")
    places = {line[1]: place for place, line in enumerate(lines)}
    return [Commit(line[1], int(line[0]), [places[parent] for parent in line[2:]]) for line in lines]


def _comparisons(one: Commit, commits: Sequence[Commit]) -> list[str]:
    """The comparisons that git is to make: the commit with each of its parents, or with nothing."""
    return [f"{one.id} {commits[parent].id}" for parent in one.parents] or [one.id]


class _Noting:
    """Records the changes of commits, newest first, so that a file's former names are known in time."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._former: set[str] = set()
        self._left = MAX_CHANGES

    def note(self, record: bytes, answers: Iterator[bytes], changes: Changes) -> None:
        """Record a change such as `:100644 100644 <blob> <blob> M`, whose path follows; two paths for a moved file."""
        _, mode, _, blob, status = record.split(b" ")
        former = name = _text(next(answers, b""))
        if status.startswith(b"R"):
            name = _text(next(answers, b""))
            if self._matters(former):
                changes[former] = Change(None, NO_PATH)
        if self._matters(name):
            changes[name] = Change(blob.decode() if mode in FILES else None, former)
            self._former |= {former} - {name}
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Unreadable(f"It has more than {MAX_CHANGES:,} changes of these files.")

    def _matters(self, name: str) -> bool:
        return name in self._former or self._wanted(name)


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError:
        return NO_PATH


def _by_directory(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        found[path.rpartition("/")[0]].append(path)
    return found


def _following(commits: Sequence[Commit]) -> list[int]:
    """For each commit, itself, or the next ancestor that changes a relevant file."""
    found = list(range(len(commits)))
    for place in range(len(commits) - 1, -1, -1):
        one = commits[place]
        if one.parents and not one.changes[0]:
            found[place] = found[one.parents[0]]
    return found


def _instant(seconds: int) -> datetime | None:
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return at if at <= now() else None
