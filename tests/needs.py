"""What a test needs from the machine: without it the test skips on a laptop, and fails where CI promised it."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

PROVIDED_IN_CI = frozenset({"bash", "chromium", "curl", "git", "java", "jq", "make", "node", "npm"})
"""What `.ci/run` installs or finds before it runs the tests."""

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"
"""Real input, the design and peers: kept beside the repository and never in it."""


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, or fails in CI when CI should have installed it."""
    found = shutil.which(program)
    if found is None:
        _do_without(f"{program} is not installed.", promised=program in PROVIDED_IN_CI)
    return found


def need_package(name: str) -> None:
    """Skip the test without this Python package; fail in CI, where `.ci/run` installs all that tests look for."""
    if importlib.util.find_spec(name) is None:
        _do_without(f"The Python package {name} is not installed.", promised=True)


def need_shared_data() -> Path:
    """The folder of real input files beside the repository; without it the test is skipped, or fails in CI."""
    return need_shared("data")


def need_shared(folder: str) -> Path:
    """A folder of what is kept beside the repository; without it the test is skipped, or fails in CI."""
    if not (SHARED / folder).is_dir():
        _do_without(f"There is no shared/{folder} folder beside the repository.", promised=True)
    return SHARED / folder


def _do_without(what: str, *, promised: bool) -> NoReturn:
    if promised and os.environ.get("CI"):
        pytest.fail(f"{what} In CI it has to be there.", pytrace=False)
    pytest.skip(what)
