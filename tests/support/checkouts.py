"""Git checkouts made by git itself, at dates of our own."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import within

ORIGIN = "https://github.com/statistics/births-family.git"
EMPTY = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.environ["PATH"]}


def git(folder: Path, *arguments: str, day: int = 1, at: str | None = None) -> str:
    """Run a git command in a folder as if on a day of March 2021; returns its output."""
    date = at or f"2021-03-{day:02}T12:00:00+00:00"
    people = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": date}
    people |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_COMMITTER_DATE": date}
    ran = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=EMPTY | people,
        capture_output=True,
        text=True,
        timeout=within(60),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@dataclass(frozen=True)
class Checkout:
    """A checkout of a repository of one branch."""

    folder: Path

    @classmethod
    def new(cls, folder: Path, origin: str | None = ORIGIN, *options: str) -> "Checkout":
        """An empty one, cloned from an address so that its settings say."""
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet", "--initial-branch=main", *options)
        if origin:
            git(folder, "remote", "add", "origin", origin)
        return cls(folder)

    @property
    def git(self) -> Path:
        return self.folder / ".git"

    def commit(self, files: dict[str, str | bytes | None], *, day: int = 1, at: str | None = None) -> str:
        """The commit that writes these files, and takes those away that are None."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message=m", day=day, at=at)
        return self.head()

    def head(self) -> str:
        return git(self.folder, "rev-parse", "HEAD")

    def last(self, path: str) -> str:
        """The commit that git says last touched a file."""
        return git(self.folder, "log", "-1", "--format=%H", "--", path)

    def log(self, path: str) -> list[str]:
        """The commits that git says touched a file, the newest first."""
        return git(self.folder, "log", "--format=%H", "--topo-order", "--", path).split()
