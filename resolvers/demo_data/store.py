"""Storing the sample data, once."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Role, Viewer
from resolvers.catalogue.report_transform import ingest_transform
from resolvers.demo_data.galaxy_servers import store_galaxy
from resolvers.demo_data.twins import store_twins, twins_are_stored
from resolvers.twins.register_component import ingest_component
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.transaction import Outcome

FOLDER = Path(__file__).parent
PUBLISHER = Viewer(Role.WORKER)
Say = Callable[[str], None]

PUBLISHER_URL = "https://statistics.example"
REPOSITORY_URL = "https://github.com/example-statistics/pipelines"

PUBLICATIONS: list[dict[str, Any]] = [
    {"name": "Population and households", "page": "population", "year": 2023, "files": ["population"]},
    {"name": "Population and households", "page": "population", "year": 2024, "files": ["population"]},
    {"name": "Population and households", "page": "population", "year": 2025, "files": ["population", "households"]},
    {"name": "Greenhouse gas emissions", "page": "emissions", "year": 2024, "files": ["emissions"]},
    {"name": "Greenhouse gas emissions", "page": "emissions", "year": 2025, "files": ["emissions"]},
]

COMMITS = {
    2023: "1f0c6a5d2b7e4938a6c1d0e9f8b7a6c5d4e3f201",
    2024: "2a1d7b6e3c8f5a49b7d2e1f0a9c8b7d6e5f40312",
    2025: "3b2e8c7f4d906b5ac8e3f201bad9c8e7f6051423",
}

COMPONENTS = {
    "traffic-counts-loader": "4c3f9d80e5a17c6bd9f40312cbead9f807162534",
    "road-network-builder": "5d40ae91f6b28d7ceaa51423dcfbea0918273645",
    "flow-simulator": "6e51bfa207c39e8dfbb62534ed0cfb1a29384756",
    "flow-dashboard": "7f62c0b318d4af9e0cc73645fe1d0c2b3a495867",
}


async def store_sample(say: Say) -> None:
    """Store the sample data unless it exists."""
    stored = [await _store_catalogue_and_twins(say), await store_galaxy(say)]
    say("The sample data is stored." if any(stored) else "The sample data is there.")


async def _store_catalogue_and_twins(say: Say) -> bool:
    """Store the catalogue and the twins; returns whether they had to be stored."""
    if await twins_are_stored():
        return False
    say("Storing sample data: publications of a statistics office …")
    for publication in PUBLICATIONS:
        await _publish(publication)
    say("Storing sample data: components and digital twins …")
    releases = {name: await _register_component(name, commit) for name, commit in COMPONENTS.items()}
    await store_twins(releases)
    return True


async def _publish(publication: dict[str, Any]) -> None:
    year, page = publication["year"], publication["page"]
    folder = f"datasets/{page}"
    ran_at = datetime(year, 6, 30, 9, 30, tzinfo=UTC)
    inputs: dict[str, Any] = {
        "organisation_url": PUBLISHER_URL,
        "organisation_name": "Example Statistics Office",
        "landing_page": f"{PUBLISHER_URL}/{page}",
        "resource_title": publication["name"],
        "info_text": _info_json(publication["name"], page),
        "code_repo": {
            "provider": "github",
            "url": REPOSITORY_URL,
            "source": [{"path": f"{folder}/{file}", "commit": COMMITS[year]} for file in ("main.py", "info.json")],
            "monitor_dirs": [f"gs://example-statistics-incoming/{page}/"],
        },
        "started_at": ran_at,
        "ended_at": ran_at.replace(minute=34),
        "published_at": ran_at.replace(minute=34),
        "validated": True,
        "logs": f"https://logs.statistics.example/{page}/{year}.txt",
        "notebook": f"https://logs.statistics.example/{page}/{year}.html",
        "distributions": [{"csvw_text": _read_text(f"catalogue/{name}/{year}.json")} for name in publication["files"]],
    }

    async def work(session: Session) -> Outcome:
        return await ingest_transform(session, PUBLISHER, **inputs)

    await run_idempotent(PUBLISHER, "ingestTransform", inputs, f"sample-{page}-{year}", work)


async def _register_component(name: str, commit: str) -> documents.ComponentVersion:
    description = _read_text(f"components/{name}.yml")
    version = description.split('component-version: "')[1].split('"')[0]
    inputs = {
        "repo_link": f"https://github.com/example-mobility-lab/{name}",
        "commit_hash": commit,
        "version": f"v{version}",
        "odtp_yml": description,
    }

    async def work(session: Session) -> Outcome:
        return await ingest_component(session, PUBLISHER, **inputs)

    outcome = await run_idempotent(PUBLISHER, "ingestComponent", inputs, f"sample-{name}", work)
    release: documents.ComponentVersion = documents.ComponentVersion.model_validate(outcome["component_version"])
    return release


def _info_json(title: str, page: str) -> str:
    return f"""{{
  "id": "example-{page}",
  "title": "{title}",
  "publisher": "Example Statistics Office",
  "landingPage": "{PUBLISHER_URL}/{page}",
  "published": "2023-06-21",
  "families": ["Examples"]
}}
"""


def _read_text(path: str) -> str:
    return (FOLDER / path).read_text(encoding="utf-8")
