"""The source distribution and the wheel: what is published works without the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import need
from tests.support.patience import within
from tests.support.running import running

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str, folder: Path) -> str:
    """The output of a command that must succeed."""
    # Compiled code that nobody measures need not be fast.
    env = os.environ | {"CFLAGS": "-O0"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=within(500), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed, which was built of the source distribution of what git tracks."""
    place = tmp_path_factory.mktemp("distributions")
    source, built, target = place / "source", place / "built", place / "target"
    for name in run(need("git"), "ls-files", "-z", folder=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", build, str(built), folder=source)
    (distribution,) = built.glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
    alone = ("--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "wheel", *alone, "--wheel-dir", str(built), str(distribution), folder=place)
    (wheel,) = built.glob("*.whl")
    run(*pip, "install", *alone, "--target", str(target), str(wheel), folder=place)
    return target


def test_the_wheel_of_the_source_distribution_serves_the_demo(installed: Path, tmp_path: Path) -> None:
    command = str(installed / "bin" / "provenance-graph")

    with running(command, "demo", directory=tmp_path, env={"PYTHONPATH": str(installed)}) as server:
        organisations = server.ask("{ organisations { nodes { name } } }")["organisations"]["nodes"]
        page = server.get("/graphql", headers={"Accept": "text/html"})

    assert organisations
    assert "GraphiQL" in page.text


def test_the_wheel_has_no_tests_and_all_that_its_packages_hold(installed: Path) -> None:
    packages = {path.name for path in installed.iterdir() if (path / "__init__.py").exists()}

    assert packages == {"documents", "graph", "resolvers"}
    tracked = run(need("git"), "ls-files", "documents", "graph", "resolvers", folder=ROOT).splitlines()
    assert [name for name in tracked if "/." not in name and not (installed / name).exists()] == []
