"""From the uploader of a server to its jobs, over HTTP, with the worker beside the real server."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.galaxies import Galaxy, a_report, an_identifier, form
from tests.support.needs import need_shared_data
from tests.support.patience import until, within
from tests.support.reports import JOB, report
from tests.support.running import Running

INGESTION = """id kind status error { code message } generation { id } progress { completed total rejected }
  counts { archives jobs metrics datasets parameters duplicates rejected }
  rejections(first: 100) { nodes { code line } } logs { nodes { message } }"""
ARCHIVES = f"identifier quarantine declaredJobs {{ state count }} ingestions {{ nodes {{ {INGESTION} }} }}"
JOBS = """query ($id: ID, $after: String) { instance(id: $id) { activeGeneration { jobs archives contentHash }
  jobs(first: 100, after: $after, orderBy: [{field: EXTERNAL_ID, direction: ASC}]) {
    totalCount pageInfo { hasNextPage endCursor } nodes {
      externalId toolId toolVersion state createdAt runtimeSeconds archive { identifier }
      metrics { plugin name number text } parameters { name value } datasets { externalId direction } } } } }"""
INGEST = """mutation ($input: IngestArchivesInput!) { ingestArchives(input: $input) {
  ingestion { status } userErrors { message } } }"""


@pytest.fixture
def galaxy(server: Running) -> Galaxy:
    return Galaxy.new(server)


def ingestions(galaxy: Galaxy) -> list[Any]:
    query = f"query ($id: ID) {{ instance(id: $id) {{ ingestions(first: 100) {{ nodes {{ {INGESTION} }} }} }} }}"
    found: list[Any] = galaxy.server.ask(query, {"id": galaxy.id})["instance"]["ingestions"]["nodes"]
    return found


def taken(galaxy: Galaxy) -> list[Any]:
    """Its ingestions, once all of them have ended."""

    def ended() -> bool:
        return all(one["status"] in ("SUCCEEDED", "FAILED") for one in ingestions(galaxy))

    until(ended, shown=lambda: galaxy.server.log[-2000:])
    return ingestions(galaxy)


def jobs(galaxy: Galaxy) -> list[Any]:
    """All jobs that the instance shows, in the order of their numbers."""
    found: list[Any] = []
    after, more = None, True
    while more:
        page = galaxy.server.ask(JOBS, {"id": galaxy.id, "after": after})["instance"]["jobs"]
        found += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return found


def sends(galaxy: Galaxy, meta: Path, content: bytes | None = None) -> int:
    """The status that the report beside this metadata is answered with, or this metadata instead."""
    data = meta.with_name(f"{meta.stem}.tar.gz").read_bytes()
    return galaxy.post(form(meta.stem, content or meta.read_bytes(), data)).status_code


def with_its_hash(meta: Path) -> bytes:
    """The metadata with the hash of the bytes that are really beside it."""
    digest = hashlib.sha256(meta.with_name(f"{meta.stem}.tar.gz").read_bytes()).hexdigest()
    return orjson.dumps(orjson.loads(meta.read_bytes()) | {"report_hash": f"sha256:{digest}"})


def test_what_a_server_uploads_becomes_jobs_and_the_same_again_changes_nothing(galaxy: Galaxy) -> None:
    content, identifier = report(jobs=[JOB, "8\tcat1\t1.0.0\terror\tNone", "nonsense"]), an_identifier()

    first = galaxy.upload(content, identifier, jobs={"ok": 1, "error": 1})
    (ingestion,) = taken(galaxy)
    second = galaxy.upload(content, identifier, jobs={"ok": 1, "error": 1})
    again = galaxy.server.ask(INGEST, {"input": {"instanceId": galaxy.id}})["ingestArchives"]

    assert (first.status_code, second.status_code) == (200, 200)
    assert (ingestion["kind"], ingestion["status"], ingestion["error"]) == ("INGEST", "SUCCEEDED", None)
    assert ingestion["progress"] == {"completed": "2", "total": "2", "rejected": "1"}
    assert (ingestion["counts"]["archives"], ingestion["counts"]["jobs"]) == ("1", "2")
    assert ingestion["rejections"]["nodes"] == [{"code": "MALFORMED_ROW", "line": "4"}]
    assert f"Report {identifier} was ingested" in ingestion["logs"]["nodes"][0]["message"]
    assert [(one["externalId"], one["state"], one["archive"]["identifier"]) for one in jobs(galaxy)] == [
        ("7", "ok", identifier),
        ("8", "error", identifier),
    ]
    assert again == {"ingestion": {"status": "SUCCEEDED"}, "userErrors": []}
    assert [one["id"] for one in ingestions(galaxy)][:1] == [ingestion["id"]]
    assert [one["counts"]["archives"] for one in ingestions(galaxy)] == ["1", "0"]
    assert galaxy.objects().count(content) == 1


def test_a_server_that_does_not_want_its_reports_ingested_is_asked_first(server: Running) -> None:
    galaxy = Galaxy.new(server, ingests=False)
    galaxy.upload(a_report())

    waiting = ingestions(galaxy)
    galaxy.server.ask(INGEST, {"input": {"instanceId": galaxy.id}})
    taken(galaxy)

    assert waiting == []
    assert len(jobs(galaxy)) == 2


def test_a_report_that_says_to_supersede_another_takes_the_place_of_its_jobs(galaxy: Galaxy) -> None:
    row = "\tcat1\t1.0.0\tok\t2019-01-01 18:35:08"
    first, second = report(jobs=[f"1{row}", f"2{row}"]), report(jobs=[f"2{row}", f"3{row}"])
    galaxy.upload(first, "1600000000.5")
    taken(galaxy)
    (archive,) = galaxy.archives()

    galaxy.upload(second, "1600000000.5", supersedes=f"sha256:{archive['sha256']}")
    done = taken(galaxy)

    assert [(one["kind"], one["status"]) for one in done] == [("INGEST", "SUCCEEDED"), ("REPROCESS", "SUCCEEDED")]
    assert [one["externalId"] for one in jobs(galaxy)] == ["2", "3"]


def test_the_real_report_comes_to_the_figures_known_of_it(galaxy: Galaxy) -> None:
    (meta,) = (need_shared_data() / "grt" / "real_v1").glob("*.json")

    assert sends(galaxy, meta) == 200
    (ingestion,) = taken(galaxy)
    (archive,) = galaxy.archives("declaredJobs { state count }")
    found = jobs(galaxy)

    expected = {"archives": "1", "jobs": "98", "metrics": "388", "parameters": "541", "datasets": "0"}
    assert ingestion["counts"] == expected | {"duplicates": "0", "rejected": "0"}
    assert Counter(one["state"] for one in found) == {"ok": 76, "error": 22}
    assert archive["declaredJobs"] == [{"state": state, "count": count} for state, count in declared(meta)]
    assert sum(metric["number"] is not None for one in found for metric in one["metrics"]) == 388
    assert sum(len(one["parameters"]) for one in found) == 541
    assert sum(one["runtimeSeconds"] is not None for one in found) == 97


def declared(meta: Path) -> list[tuple[str, str]]:
    return [(state, str(count)) for state, count in orjson.loads(meta.read_bytes())["jobs"].items()]


REASONS: dict[str, tuple[str, set[str]]] = {
    "counts do not match the rows": ("SUCCEEDED", {"COUNT_MISMATCH"}),
    "BOM at the head of each file": ("SUCCEEDED", {"ENCODING"}),
    "CRLF line ends": ("SUCCEEDED", {"MALFORMED_ROW"}),
    "member with ..": ("FAILED", {"UNSAFE_MEMBER", "MISSING_MEMBER"}),
    "member with an absolute name": ("FAILED", {"UNSAFE_MEMBER", "MISSING_MEMBER"}),
    "symlink member": ("SUCCEEDED", {"UNSAFE_MEMBER"}),
    "hard link member": ("SUCCEEDED", {"UNSAFE_MEMBER"}),
    "compression bomb, 30 MB of zeros, and a second jobs member": ("FAILED", {"UNSAFE_MEMBER", "CORRUPT_ARCHIVE"}),
    "no jobs member": ("FAILED", {"MISSING_MEMBER"}),
    "not a gzip": ("FAILED", {"CORRUPT_ARCHIVE"}),
    "truncated gzip": ("FAILED", {"CORRUPT_ARCHIVE"}),
    "same job id twice": ("SUCCEEDED", {"DUPLICATE_KEY"}),
    "metric of an unknown job, NaN, a 19-digit value, a bad id": ("SUCCEEDED", {"BAD_NUMBER", "ORPHAN_ROW"}),
}
NOT_KEPT = {"hash mismatch": 400, "hash algorithm md5": 400}
KEPT_APART = {"unknown version 99", "generated differs from the identifier", "users missing", "negative counts"}


@pytest.mark.timeout(within(240))
def test_broken_reports_are_refused_or_taken_for_the_very_reason_and_sound_ones_are_untouched(
    galaxy: Galaxy, server: Running
) -> None:
    folder = need_shared_data() / "grt" / "synthetic"
    why: dict[str, str] = orjson.loads((folder / "bad" / "WHY.json").read_bytes())
    good, bad = (sorted((folder / name).glob("*.5.json" if name == "bad" else "*.json")) for name in ("good", "bad"))
    assert (len(good) >= 6, len(bad) >= 9) == (True, True)
    undisturbed = Galaxy.new(server)
    for meta in good:
        assert sends(undisturbed, meta) == 200

    for number, meta in enumerate(bad):
        for between in good[number : number + 1]:
            assert sends(galaxy, between) == 200
        said = meta.read_bytes() if why[meta.stem] in NOT_KEPT else with_its_hash(meta)
        assert sends(galaxy, meta, said) == NOT_KEPT.get(why[meta.stem], 202 if why[meta.stem] in KEPT_APART else 200)
    taken(galaxy)
    taken(undisturbed)

    archives = {one["identifier"]: one for one in galaxy.archives(ARCHIVES)}
    for meta in bad:
        reason = why[meta.stem]
        if reason in NOT_KEPT:
            assert meta.stem not in archives
        elif reason in KEPT_APART:
            assert (archives[meta.stem]["quarantine"] is not None, archives[meta.stem]["ingestions"]["nodes"]) == (
                True,
                [],
            )
        else:
            (ingestion,) = archives[meta.stem]["ingestions"]["nodes"]
            codes = {one["code"] for one in ingestion["rejections"]["nodes"]}
            assert (ingestion["status"], codes) == REASONS[reason], reason
            failed = ingestion["status"] == "FAILED"
            assert (ingestion["error"]["code"] in codes) if failed else ingestion["counts"]["jobs"] == "20", reason
    sound = {meta.stem for meta in good}
    assert [one for one in jobs(galaxy) if one["archive"]["identifier"] in sound] == jobs(undisturbed)
