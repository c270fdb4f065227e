"""Folders such as pipelines leave, imported and read back through the schema."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resolvers.imports.catalogue.importer import CatalogueSummary, import_catalogue
from tests.support.catalogue import ADMIN, ask

REPO = "statistics/births-family"
CODE = "https://github.com/statistics/births-family"
PAGE = "https://statistics.example/births"

ALL = """{ datasets(first: 100) { nodes { identifier title
  resource { title landingPage info codeRepo { url source { path commit } }
    organisation { url name } }
  versions(first: 100, orderBy: {field: ORDINAL, direction: ASC}) { nodes { label createdAt
    distribution { sha256 transform { id code { repository path commit } endedAt } } } } } } }"""


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files into a folder; returns the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def info(title: str = "Births", **facts: Any) -> str:
    """The text of an info.json."""
    usual = {"title": title, "publisher": "Examples Bureau", "landingPage": PAGE}
    return json.dumps(usual | facts, indent=1)


def history(path: str, *texts: str, folder: str = "versions/age", repo: str = REPO) -> dict[str, str]:
    """Files v1.json … of one document, a day apart, and the list that says so, in no order."""
    files = {f"{folder}/v{number}.json": text for number, text in enumerate(texts, 1)}
    entries = [
        {
            "file": f"{folder}/v{number}.json",
            "repo": repo,
            "path": path,
            "commit": f"{number:040x}",
            "created": f"2021-07-{number:02}T12:00:00+01:00",
        }
        for number in range(len(texts), 0, -1)
    ]
    return files | {"versions/index.json": json.dumps(entries)}


def sources(directory: str = "datasets/births", repo: str = REPO) -> dict[str, str]:
    """The list of commits that names one pipeline."""
    source = {"info.json": "b" * 40, "main.py": "a" * 40}
    return {"code_repo_sources.json": json.dumps([{"repo": repo, "dir": directory, "source": source}])}


async def run(folder: Path) -> CatalogueSummary:
    """Import a folder; returns the summary."""
    return await import_catalogue(folder, ADMIN, lambda *_: None)


async def datasets() -> dict[str, Any]:
    """All datasets as clients see them, by identifier; `nodes` of versions in place."""
    found = (await ask(ALL))["datasets"]["nodes"]
    return {one["identifier"]: one | {"versions": one["versions"]["nodes"]} for one in found}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def version_digests(dataset: Any) -> list[tuple[str, str]]:
    """Label and digest of each version."""
    return [(version["label"], version["distribution"]["sha256"]) for version in dataset["versions"]]
