"""Requirements of tests: if one is missing, the test is skipped on a laptop, and fails in CI, which provides it."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest
from platformdirs import user_cache_path

from documents.mongo import raw
from tests.support.patience import within

PROVIDED_IN_CI = frozenset(
    {"bash", "chromium", "curl", "docker-compose", "git", "java", "jq", "make", "node", "npm", "promtool"}
)
"""Programs that `.ci/run` installs or finds before it runs the tests."""

INSTALLED = "installed"
"""A file that says that all packages beside it are whole."""

PROJECT = Path(__file__).resolve().parents[2]
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


def need_compiled() -> None:
    """Require the project's C extensions: without them the tests of a file are skipped, or fail in CI."""
    if not raw.COMPILED:
        _do_without("What is compiled was left out, because there was no C compiler.", promised=True)


def need_npm_packages(package: Path) -> Path:
    """A folder outside the repository with what a package.json names, installed once for each set of versions."""
    need("node")
    npm = need("npm")
    content = package.read_bytes()
    folder = user_cache_path("provenance-graph") / f"npm-{hashlib.sha256(content).hexdigest()[:12]}"
    if not (folder / INSTALLED).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(content)
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=within(90))
        if done.returncode:
            _do_without(f"{package} could not be installed: {done.stderr[-300:]}", promised=True)
        (folder / INSTALLED).touch()
    return folder


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
    pytest.skip(what, allow_module_level=True)
