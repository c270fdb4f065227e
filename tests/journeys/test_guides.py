"""The commands of guides that send bytes, as a reader pastes them into a shell."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.galaxies import Galaxy, a_report, metadata
from tests.support.needs import PROJECT, need
from tests.support.patience import within
from tests.support.running import Running
from tests.support.tutorial_reader import blocks_of

GUIDES = PROJECT / "docs/guides"


def section(page: str, heading: str) -> str:
    """The text of a page below a heading."""
    text = (GUIDES / page).read_text(encoding="utf-8")
    return re.split(r"^## ", text.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def paste(text: str, folder: Path, server: Running) -> str:
    """Save the operations of a text under the names that it gives them and run its commands in one shell, which may not
    fail; returns what they printed."""
    shell = []
    for block in blocks_of(text):
        if block.language == "graphql":
            (folder / re.findall(r"`(\w+\.graphql)`", block.prose)[-1]).write_text(block.text)
        elif block.language == "sh":
            shell.append(block.text)
    assert shell
    done = subprocess.run(
        [need("bash"), "-euo", "pipefail", "-c", "\n".join(shell)],
        cwd=folder,
        env={**os.environ, "URL": f"{server.url}/graphql", "TOKEN": server.token, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=within(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def put_again(folder: Path, server: Running, content: bytes) -> httpx2.Response:
    """The answer to the announced bytes, sent to their address once more."""
    upload: Any = json.loads((folder / "upload.json").read_text())["data"]["createUpload"]["upload"]
    return server.client.put(upload["target"]["url"], content=content, headers=upload["target"]["headers"])


@pytest.fixture(autouse=True)
def _programs() -> None:
    for program in ("curl", "jq"):
        need(program)


def test_a_file_is_uploaded_by_the_commands_of_its_guide(server: Running, tmp_path: Path) -> None:
    content = b"month,millimetres\n1,42\n"
    (tmp_path / "data.csv").write_bytes(content)

    paste(section("files.md", "Upload"), tmp_path, server)

    assert put_again(tmp_path, server, content).status_code == 412


def test_a_report_goes_straight_to_the_bucket_by_the_commands_of_its_guide(server: Running, tmp_path: Path) -> None:
    galaxy, content, identifier = Galaxy.new(server), a_report(), "1769904000.0"
    (tmp_path / f"{identifier}.tar.gz").write_bytes(content)
    (tmp_path / f"{identifier}.json").write_bytes(metadata(identifier, content))
    text = section("upload-reports.md", "Straight to the bucket")
    assert "INSTANCE=instance_…" in text

    printed = paste(text.replace("instance_…", galaxy.id), tmp_path, server)

    payload = json.loads(printed)["data"]["registerArchive"]
    assert (payload["alreadyExisted"], payload["userErrors"]) == (False, [])
    assert galaxy.archives("id identifier sha256 quarantine") == [payload["archive"]]
    assert content in galaxy.objects()
    assert put_again(tmp_path, server, content).status_code == 412
