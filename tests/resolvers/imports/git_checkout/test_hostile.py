"""Checkouts made to harm whoever reads them: nothing of theirs runs, and nothing beyond the folder is read."""

import hashlib
import os
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest

from resolvers.imports.catalogue.importer import CatalogueSummary
from resolvers.imports.git_checkout import commits, git_directory, objects
from resolvers.imports.git_checkout.git_directory import GitReadError, read_git_directory
from resolvers.imports.git_checkout.objects import GitObjects
from tests.resolvers.imports.catalogue.test_git_history import DOCUMENT, births, days, run, texts, versions
from tests.support.catalogue import csvw
from tests.support.checkouts import Checkout, git
from tests.support.patience import within

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that exists once something of the checkout has run."""
    return tmp_path / "something-ran"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout of a document with two versions."""
    made = Checkout.new(tmp_path / "folder")
    for day in (1, 2):
        made.commit({DOCUMENT: births(day), ".gitattributes": "* diff=evil filter=evil merge=evil\n"}, day=day)
    return made


def program(marker: Path) -> Path:
    """A program that leaves the marker, however it is called."""
    path = marker.with_name("evil")
    path.write_text(f"#!/bin/sh\ntouch '{marker}'\ncat\nexit 0\n")
    path.chmod(0o755)
    return path


async def commits_not_read(checkout: Checkout) -> str:
    """Why the commits of a checkout are not read; its document is taken all the same."""
    summary = await run(checkout.folder, history=True)
    assert texts(await versions()) == [births(2)]
    assert days(await versions())[0] > "2021-04"
    (note,) = _of_checkouts(summary)
    return note


def _of_checkouts(summary: CatalogueSummary) -> list[str]:
    before = "Its commits are not read: "
    return [note.reason.removeprefix(before) for note in summary.adjustments if note.reason.startswith(before)]


async def test_no_setting_of_the_repository_makes_anything_run(checkout: Checkout, marker: Path) -> None:
    evil = program(marker)
    settings = {
        "core.fsmonitor": evil,
        "core.sshCommand": evil,
        "core.pager": evil,
        "core.editor": evil,
        "core.askPass": evil,
        "core.gitProxy": evil,
        "core.hooksPath": evil.parent,
        "core.alternateRefsCommand": evil,
        "core.worktree": "/",
        "credential.helper": f"!{evil}",
        "diff.external": evil,
        "diff.evil.command": evil,
        "diff.evil.textconv": evil,
        "filter.evil.clean": evil,
        "filter.evil.smudge": evil,
        "filter.evil.process": evil,
        "filter.evil.required": "true",
        "merge.evil.driver": evil,
        "gpg.program": evil,
        "gpg.ssh.program": evil,
        "log.showSignature": "true",
        "pager.log": evil,
        "pager.rev-list": evil,
        "alias.rev-list": f"!{evil}",
        "alias.diff-tree": f"!{evil}",
        "alias.cat-file": f"!{evil}",
        "trailer.x.command": evil,
        "uploadpack.packObjectsHook": evil,
        "remote.origin.uploadpack": evil,
        "remote.origin.promisor": "true",
        "remote.origin.vcs": "ext",
        "protocol.ext.allow": "always",
        "include.path": evil.parent / "more",
        "includeIf.gitdir:/.path": evil.parent / "more",
        "safe.directory": "*",
    }
    (evil.parent / "more").write_text(f"[core]\n\tfsmonitor = {evil}\n\tsshCommand = {evil}\n")
    for name, value in settings.items():
        git(checkout.folder, "config", name, str(value))
    config = checkout.git / "config"
    config.write_text(config.read_text() + "[extensions]\n\tpartialClone = origin\n")
    for hook in ("post-checkout", "reference-transaction", "fsmonitor-watchman", "pre-auto-gc", "post-index-change"):
        shutil.copy(evil, checkout.git / "hooks" / hook)
    (checkout.git / "info" / "attributes").write_text("* diff=evil filter=evil\n")

    await run(checkout.folder, history=True)

    assert days(await versions()) == ["2021-03-01", "2021-03-02"]
    assert not marker.exists()


async def test_what_is_missing_is_not_fetched_by_a_program(checkout: Checkout, marker: Path) -> None:
    evil = program(marker)
    blob = git(checkout.folder, "rev-parse", f"HEAD~1:{DOCUMENT}")
    for name, value in {
        "remote.origin.url": f"ext::{evil}",
        "remote.origin.promisor": "true",
        "remote.origin.partialCloneFilter": "blob:none",
        "core.sshCommand": str(evil),
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "protocol.ext.allow": "always",
    }.items():
        git(checkout.folder, "config", name, value)
    (checkout.git / "objects" / blob[:2] / blob[2:]).unlink()

    await run(checkout.folder, history=True)

    assert days(await versions()) == ["2021-03-02"]
    assert not marker.exists()


async def test_variables_of_this_process_do_not_reach_git(
    checkout: Checkout, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = program(marker)
    names = ("GIT_EXTERNAL_DIFF", "GIT_SSH_COMMAND", "GIT_PAGER", "GIT_ASKPASS", "GIT_EXEC_PATH", "PROVENANCE_X")
    for name in names:
        monkeypatch.setenv(name, str(evil))
    monkeypatch.setenv("GIT_TRACE", str(marker))
    monkeypatch.setenv("GIT_DIR", "/nowhere")

    await run(checkout.folder, history=True)

    assert len(await versions()) == 2
    assert not marker.exists()


@pytest.fixture
def secret(tmp_path: Path) -> Checkout:
    """A repository beside the folder, which nobody wanted to publish."""
    made = Checkout.new(tmp_path / "secret")
    made.commit({DOCUMENT: csvw("births", secret=True), "n": "1"}, day=1)
    made.commit({DOCUMENT: births(2)}, day=2)
    return made


async def test_a_git_file_that_leads_out_of_the_folder_is_not_followed(checkout: Checkout, secret: Checkout) -> None:
    shutil.rmtree(checkout.git)
    checkout.git.write_text(f"gitdir: {secret.git}\n")

    assert await commits_not_read(checkout) == "Its .git leads out of the folder."


async def test_a_git_link_is_not_followed(checkout: Checkout, secret: Checkout) -> None:
    shutil.rmtree(checkout.git)
    checkout.git.symlink_to(secret.git)

    assert await commits_not_read(checkout) == "Its .git leads out of the folder."


async def test_a_common_directory_outside_is_not_followed(checkout: Checkout, secret: Checkout) -> None:
    (checkout.git / "commondir").write_text(str(secret.git))

    assert await commits_not_read(checkout) == "Its .git leads out of the folder."


@pytest.mark.parametrize("name", ["objects", "HEAD", "refs/heads/main", "shallow"])
async def test_no_part_of_it_may_be_a_link_that_leads_out(checkout: Checkout, secret: Checkout, name: str) -> None:
    path = checkout.git / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(secret.git / name)

    assert await commits_not_read(checkout) == "Its .git leads out of the folder."


@pytest.mark.parametrize("name", ["alternates", "http-alternates"])
async def test_objects_of_other_repositories_are_not_read(checkout: Checkout, secret: Checkout, name: str) -> None:
    (checkout.git / "objects/info").mkdir(exist_ok=True)
    (checkout.git / "objects/info" / name).write_text(f"{secret.git}/objects\n")
    (checkout.git / "refs/heads/main").write_text(secret.head())

    reason = "Some of its objects are in another repository (objects/info/alternates)."
    assert await commits_not_read(checkout) == reason


async def test_links_among_the_objects_are_not_followed(checkout: Checkout, secret: Checkout) -> None:
    git(secret.folder, "gc", "--quiet")
    packs = list((secret.git / "objects/pack").iterdir())
    assert packs
    for pack in packs:
        (checkout.git / "objects/pack" / pack.name).symlink_to(pack)
    (checkout.git / "refs/heads/main").write_text(secret.head())

    assert (await commits_not_read(checkout)).endswith(" in its .git is not a regular file.")


@pytest.mark.parametrize("name", ["HEAD", "config", "packed-refs", "shallow", "commondir", "objects/00/11", ""])
async def test_nobody_waits_for_a_pipe(checkout: Checkout, name: str) -> None:
    git(checkout.folder, "pack-refs", "--all")
    path = checkout.git / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    began = time.monotonic()

    await run(checkout.folder, history=True)

    # Nor does git, until its time is over.
    assert time.monotonic() - began < min(within(), objects.COMMAND_TIMEOUT)
    assert texts(await versions())[-1] == births(2)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "ref: refs/heads/../../../secret/.git/HEAD",
        "ref: /etc/passwd",
        "ref: refs/heads/none",
        "ref: refs/heads/a\0b",
        "ref: " + "refs/" * 700,
        "x" * 5_000,
        "0" * 40,
        "--output=/tmp/x",
        "ref: refs/heads/self",
    ],
)
async def test_a_head_that_leads_nowhere_is_told_of(checkout: Checkout, head: str) -> None:
    (checkout.git / "refs/heads/self").write_text("ref: refs/heads/self\n")
    (checkout.git / "HEAD").write_text(head)

    assert await commits_not_read(checkout)


@contextmanager
def folders_without_end(folder: Path) -> Iterator[None]:
    """Three thousand folders in each other, while the block lasts."""
    with chdir(folder):
        for _ in range(3_000):
            Path("d").mkdir()
            os.chdir("d")
    yield
    subprocess.run(["rm", "-rf", folder / "d"], check=True)


@pytest.mark.parametrize("name", ["objects", "refs"])
async def test_folders_without_end_are_told_of(checkout: Checkout, name: str) -> None:
    with folders_without_end(checkout.git / name):
        await run(checkout.folder, history=True)

    assert texts(await versions())[-1] == births(2)


async def test_links_in_circles_are_told_of(checkout: Checkout) -> None:
    shutil.rmtree(checkout.git)
    checkout.git.symlink_to(checkout.folder / "other")
    (checkout.folder / "other").symlink_to(checkout.git)

    assert await commits_not_read(checkout)


async def test_a_git_that_cannot_be_run_is_told_of(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = checkout.folder.with_name("bin") / "git"
    broken.parent.mkdir()
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent))

    assert await commits_not_read(checkout) == "git cannot be run: Exec format error."


async def test_broken_objects_are_told_of(checkout: Checkout) -> None:
    blob = checkout.head()
    path = checkout.git / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"broken")

    assert (await commits_not_read(checkout)).startswith("git cannot read its objects: rev-list ended with")


async def test_lies_in_what_makes_git_faster_are_not_believed(checkout: Checkout) -> None:
    git(checkout.folder, "gc", "--quiet")
    git(checkout.folder, "commit-graph", "write", "--reachable")
    git(checkout.folder, "multi-pack-index", "write")
    for name in ("objects/info/commit-graph", "objects/pack/multi-pack-index"):
        path = checkout.git / name
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:100] + os.urandom(2_000))

    await run(checkout.folder, history=True)

    assert days(await versions()) == ["2021-03-01", "2021-03-02"]


async def test_replacements_and_grafts_are_not_believed(checkout: Checkout) -> None:
    first = git(checkout.folder, "rev-parse", "HEAD~1")
    git(checkout.folder, "replace", checkout.head(), first)

    await run(checkout.folder, history=True)

    assert texts(await versions()) == [births(1), births(2)]


async def test_a_history_that_is_too_long_is_told_of(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MAX_COMMITS", 1)

    assert await commits_not_read(checkout) == "It has more than 1 commits, or 500,000 parents of them."


async def test_too_many_parents_are_told_of(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MAX_PARENTS", 0)

    assert (await commits_not_read(checkout)).endswith("or 0 parents of them.")


async def test_too_many_changes_are_told_of(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MAX_CHANGES", 1)

    assert await commits_not_read(checkout) == "It has more than 1 changes of these files."


async def test_an_object_that_unpacks_to_much_takes_no_memory(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MAX_MEMORY_BYTES", 100 * 2**20)
    tree = git(checkout.folder, "rev-parse", "HEAD^{tree}").encode()
    commit = b"tree %b\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\n%b" % (tree, bytes(150 * 2**20))
    content = b"commit %d\0%b" % (len(commit), commit)
    id = hashlib.sha1(content).hexdigest()
    path = checkout.git / "objects" / id[:2] / id[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(content, 1))
    (checkout.git / "refs/heads/main").write_text(id)

    assert (await commits_not_read(checkout)).startswith("git cannot read its objects: rev-list ended with")


async def test_too_many_steps_are_told_of(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MAX_STEPS", 1)

    assert await commits_not_read(checkout) == "It has more history than can be searched for all these files."


async def test_answers_of_git_are_bounded(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_OUTPUT_BYTES", 100)

    assert await commits_not_read(checkout) == "The output of git about its history exceeds 100 bytes."


async def test_too_many_files_of_objects_are_told_of(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_directory, "MAX_OBJECT_FILES", 3)

    assert "more than 3 object files" in await commits_not_read(checkout)


def test_git_has_a_time_limit(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    directory = read_git_directory(checkout.git, checkout.folder)
    began = time.monotonic()

    with GitObjects(directory, timeout=0.5) as reading, pytest.raises(GitReadError, match="ended with -9"):
        list(reading.records("rev-list", directory.head))

    assert time.monotonic() - began < within()


async def test_nothing_is_written(checkout: Checkout) -> None:
    def files() -> list[tuple[Path, int, int]]:
        return sorted((path, path.stat().st_mtime_ns, path.stat().st_size) for path in checkout.folder.rglob("*"))

    before = files()
    assert before

    await run(checkout.folder, history=True)

    assert len(await versions()) == 2
    assert files() == before


async def test_names_of_files_cannot_be_taken_for_anything_else(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path / "folder")
    names = [":(exclude)*.json", "--output=x.json", "a\nb.json", "0" * 40 + ".json", "*.json", "é.json", ":a.json"]
    for day in (1, 2):
        checkout.commit({f"d{n}/{name}": csvw(f"t{n}", n=day) for n, name in enumerate(names)}, day=day)

    await run(checkout.folder, history=True)

    for n in range(len(names)):
        assert days(await versions(f"t{n}")) == ["2021-03-01", "2021-03-02"], names[n]


async def test_a_checkout_of_another_owner_is_read(checkout: Checkout) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root gives files away.")
    for path in [checkout.git, *checkout.git.rglob("*")]:
        os.chown(path, 12345, 12345)

    await run(checkout.folder, history=True)

    assert len(await versions()) == 2
