"""The commits that changed a file are those that git tells of, however branches part and meet."""

import random
import subprocess
from pathlib import Path

import pytest

from resolvers.imports.git_checkout.commits import Commits, read_commits
from resolvers.imports.git_checkout.git_directory import read_git_directory
from resolvers.imports.git_checkout.objects import GitObjects
from tests.support.checkouts import Checkout, git

FILES = ("a.json", "b.json", "d/c.json")


def commits_of(checkout: Checkout) -> Commits:
    directory = read_git_directory(checkout.git, checkout.folder)
    with GitObjects(directory) as objects:
        return read_commits(objects, directory, lambda path: path in FILES, ("*.json",))


def with_any_history(checkout: Checkout, seed: int, count: int = 60) -> None:
    """Make commits with one parent, two or three, each with any state of each file."""
    chance = random.Random(seed)
    lines = []
    for number in range(1, count + 1):
        parents = sorted(chance.sample(range(max(1, number - 4), number), min(number - 1, chance.choice([1, 1, 2, 3]))))
        lines += ["commit refs/heads/main", f"mark :{number}", f"committer A <a@example.org> {number * 1000} +0000"]
        lines += ["data 1", "m"]
        lines += [f"{'merge' if place else 'from'} :{parent}" for place, parent in enumerate(parents)]
        for file in FILES:
            match chance.randrange(6):
                case 0 | 1:
                    content = f"{file} {chance.randrange(3)}"
                    lines += [f"M 100644 inline {file}", f"data {len(content)}", content]
                case 2:
                    lines += [f"D {file}"]
    given = "\n".join(lines) + "\n"
    subprocess.run(["git", "fast-import", "--quiet", "--force"], cwd=checkout.folder, input=given.encode(), check=True)


@pytest.mark.parametrize("seed", range(12))
def test_each_file_was_changed_by_the_commits_that_git_tells(tmp_path: Path, seed: int) -> None:
    checkout = Checkout.new(tmp_path)
    with_any_history(checkout, seed)
    commits = commits_of(checkout)

    for file in FILES:
        told = checkout.log(file)
        found = list(commits.touches(file))
        assert {one.commit for one in found} == set(told)
        assert len(found) == len(told)
        if told:
            assert found[0].commit == checkout.last(file)
        for one in found:
            tree = git(checkout.folder, "ls-tree", one.commit, "--", file)
            assert one.blob == (tree.split()[2] if tree else None)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_there_at_a_commit_is_found_from_there(tmp_path: Path, seed: int) -> None:
    checkout = Checkout.new(tmp_path)
    with_any_history(checkout, seed, count=20)
    commits = commits_of(checkout)

    for commit in git(checkout.folder, "rev-list", "HEAD").split():
        for file in FILES:
            there = git(checkout.folder, "ls-tree", commit, "--", file)
            told = git(checkout.folder, "log", "-1", "--format=%H", commit, "--", file)
            found = commits.last(file, commit)
            assert (found.commit if found else "") == (told if there else "")
