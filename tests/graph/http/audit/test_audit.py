"""The audits of graphql-http, an implementation of the GraphQL-over-HTTP specification that is not ours."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.needs import need_npm_packages
from tests.support.patience import within
from tests.support.running import Running

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def modules() -> Path:
    return need_npm_packages(HERE / "package.json")


def test_the_server_passes_all_61_audits_of_graphql_http(server: Running, modules: Path) -> None:
    command = ["node", str(HERE / "audit.mjs"), str(modules), f"{server.url}/graphql"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=within(), check=True)

    results = json.loads(done.stdout)
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61
