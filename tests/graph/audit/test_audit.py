"""The audits of graphql-http, an implementation of the GraphQL-over-HTTP specification that is not ours."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from tests.running import Running

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def modules() -> Path:
    """A folder outside the repository that holds the packages, installed once for each set of versions."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are needed for the audits")
    package = (HERE / "package.json").read_bytes()
    folder = user_cache_path("provenance-graph") / f"audit-{hashlib.sha256(package).hexdigest()[:12]}"
    if not (folder / "node_modules" / "graphql-http").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(package)
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip("the audits could not be installed in 90 s")
    if done.returncode:
        pytest.skip(f"the audits could not be installed: {done.stderr[-300:]}")


def test_the_server_passes_all_61_audits_of_graphql_http(server: Running, modules: Path) -> None:
    command = ["node", str(HERE / "audit.mjs"), str(modules), f"{server.url}/graphql"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    results = json.loads(done.stdout)
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61
