"""The sample's statistics office: publications of two pipelines, which are reported like real ones."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from documents.mongo.transaction import Session
from resolvers.access.viewer import Role, Viewer
from resolvers.catalogue.report_transform import ingest_transform
from resolvers.provenance.used import UsedValues
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.transaction import Outcome

DOCUMENTS = Path(__file__).parent / "catalogue"
PUBLISHER = Viewer(Role.WORKER)

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


async def store_publications() -> None:
    """Store the publications of the office, each by a report of its transform."""
    for publication in PUBLICATIONS:
        await publish(publication)


async def publish(publication: dict[str, Any], used: list[UsedValues] | None = None) -> None:
    """Store a publication, whose transform read what is `used`; None where the office does not say."""
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
        "distributions": [{"csvw_text": _read_document(name, year)} for name in publication["files"]],
        "used": used,
    }

    async def work(session: Session) -> Outcome:
        return await ingest_transform(session, PUBLISHER, **inputs)

    await run_idempotent(PUBLISHER, "ingestTransform", inputs, f"sample-{page}-{year}", work)


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


def _read_document(name: str, year: int) -> str:
    return (DOCUMENTS / name / f"{year}.json").read_text(encoding="utf-8")
