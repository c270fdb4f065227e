"""Trying a mutant: the tests of its module run on a copy of the work tree that holds it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory
from venv import EnvBuilder

from tests.mutants.mutant import Mutant

NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "node_modules", "build")

PYTEST = ("-m", "pytest", "--quiet", "--exitfirst", "--no-header", "--tb=no")
PASSED, NOTHING_RAN = 0, 5


class Verdict(StrEnum):
    """The outcome of a trial: undecided if it took too long, or if the test also fails without the mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Trial:
    """A mutant that was tried: `by` is the test that noticed it, or why there is no verdict."""

    mutant: Mutant
    tests: Sequence[str]
    verdict: Verdict
    by: str
    seconds: float


def try_mutant(mutant: Mutant, tests: Sequence[str], root: Path, limit: float) -> Trial:
    """Run these test files on a copy of `root` that holds the mutant, for `limit` seconds at the most."""
    began = time.monotonic()
    with _copy_work_tree(root) as copy:
        verdict, by = _try(mutant, tests, copy, limit)
    return Trial(mutant, tests, verdict, by, time.monotonic() - began)


def _try(mutant: Mutant, tests: Sequence[str], copy: Path, limit: float) -> tuple[Verdict, str]:
    module = copy / mutant.module
    _write(module, mutant.source)
    try:
        status, output = _run(tests, copy, limit)
        if status == PASSED:
            return Verdict.SURVIVED, ""
        # A test that fails for the weather must not count.
        _write(module, mutant.original)
        again, _ = _run(["--last-failed", "--last-failed-no-failures=none", *tests], copy, limit)
    except subprocess.TimeoutExpired:
        return Verdict.UNDECIDED, f"took more than {limit:g} s"
    failed = _failure(output)
    if again not in (PASSED, NOTHING_RAN):
        return Verdict.UNDECIDED, f"fails without the mutant too: {failed}"
    return Verdict.KILLED, failed


def _write(module: Path, source: str) -> None:
    # Python takes bytecode for that of a source of the same size which was written in the same second.
    Path(cache_from_source(module)).unlink(missing_ok=True)
    module.write_text(source)


def _failure(output: str) -> str:
    """The test that failed, else the last line: a mutant that cannot be imported ends pytest before its first test."""
    found = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.MULTILINE)
    return found[1] if found else output.strip().rpartition("\n")[2]


@contextmanager
def _copy_work_tree(root: Path) -> Iterator[Path]:
    """A copy of the work tree with what is compiled, and an environment that imports it, gone afterwards."""
    with TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(root, copy, ignore=NOT_COPIED)
        _make_environment(copy)
        yield copy


def _make_environment(copy: Path) -> None:
    """Make `.venv` of the copy: it imports the copy's modules, and all else from the environment of this process.

    PYTHONPATH would not do: reports are read by `python -I`, which does not look at it.
    """
    folder = copy / ".venv"
    EnvBuilder(symlinks=True).create(folder)
    packages = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    lines = f"{copy}\nimport site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    Path(packages, "copy.pth").write_text(lines)
    for script in Path(sys.executable).parent.iterdir():
        if not (folder / "bin" / script.name).exists():
            (folder / "bin" / script.name).symlink_to(script)


def _run(arguments: Sequence[str], copy: Path, limit: float) -> tuple[int, str]:
    """Exit status and output of pytest. Raises TimeoutExpired, when everything that it started has ended."""
    # For the scripts among the commands, which begin with the path of their interpreter.
    env = os.environ | {"PYTHONPATH": str(copy)}
    with subprocess.Popen(
        [copy / ".venv/bin/python", *PYTEST, *arguments],
        cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=limit)
        finally:
            _kill_group(process.pid)
    return process.returncode, output


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
