"""Code that clients search for: a repository at some commits, and a file or folder in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from documents.activities.repository_url import repository_url
from resolvers.filters import Filter
from resolvers.limits import MAX_IMPACT_COMMITS
from resolvers.user_errors import MAX_SHOWN_LENGTH, InvalidInput, LimitExceeded
from resolvers.validators import MAX_URL_LENGTH, is_line

MIN_COMMIT_DIGITS = 7
"""Digits of an abbreviated commit. Git itself abbreviates to as many: fewer would find other commits."""
COMMIT = re.compile(f"[0-9a-f]{{{MIN_COMMIT_DIGITS},64}}", re.ASCII)
WHOLE_COMMIT_DIGITS = 40
"""Digits of a whole commit; repositories with SHA-256 have 64."""


@dataclass(frozen=True)
class CodeSearch:
    """Code at some commits of a repository: of a file, or of files below a folder if the path ends in a slash."""

    repository: str
    commits: tuple[str, ...]
    path: str | None

    @property
    def filter(self) -> Filter:
        """The filter for activities that ran such code. One entry of their code has to meet all conditions."""
        commits = [value for commit in self.commits for value in _equal_commits(commit)]
        conditions: Filter = {"repository": self.repository, "commit": {"$in": commits}}
        if self.path is not None:
            conditions["path"] = _beginning_with(self.path) if self.path.endswith("/") else self.path
        return {"code": {"$elemMatch": conditions}}

    @property
    def key(self) -> dict[str, Any]:
        """Equal for searches for the same code."""
        return {"repository": self.repository, "commits": self.commits, "path": self.path}


def code_search(repository: str, commits: Sequence[str], path: str | None) -> CodeSearch:
    """The code that a client searches for. Raises InvalidInput and LimitExceeded."""
    if len(commits) > MAX_IMPACT_COMMITS:
        raise LimitExceeded(f"commits has {len(commits):,} values; at most {MAX_IMPACT_COMMITS:,} are allowed.")
    if not repository.strip() or len(repository) > MAX_URL_LENGTH or not is_line(repository):
        raise _invalid(f"repository must be the address of a repository, not {_excerpt(repository)}.")
    if path is not None and not is_line(path):
        raise _invalid(f"path must be one line, the path of a file or of a folder/, not {_excerpt(path)}.")
    distinct = dict.fromkeys(_checked_commit(commit) for commit in commits)
    return CodeSearch(repository_url(repository), tuple(sorted(distinct)), path)


def _checked_commit(value: str) -> str:
    commit = value.strip().lower()
    if not COMMIT.fullmatch(commit):
        digits = f"{MIN_COMMIT_DIGITS} or more hexadecimal digits"
        raise _invalid(f"commits must be hashes of commits, whole or their first {digits}, not {_excerpt(value)}.")
    return commit


def _equal_commits(commit: str) -> list[Any]:
    """The values of commits that may be this one: those that begin with it, and abbreviations of it."""
    lengths = range(MIN_COMMIT_DIGITS, min(len(commit), WHOLE_COMMIT_DIGITS))
    abbreviations: list[Any] = [commit[:digits] for digits in lengths]
    return [*abbreviations, commit if len(commit) >= WHOLE_COMMIT_DIGITS else _beginning_with(commit)]


def _beginning_with(text: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(text)}")


def _excerpt(value: str) -> str:
    return repr(value if len(value) <= MAX_SHOWN_LENGTH else f"{value[:MAX_SHOWN_LENGTH]}…")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, code="BAD_USER_INPUT")
