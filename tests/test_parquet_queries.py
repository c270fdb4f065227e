"""The queries that docs/guides/parquet.md gives for exported jobs, asked of DuckDB."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

import documents
from documents.mongo.database import Database
from tests.support import builders as new
from tests.support.builders import keep
from tests.support.exports import export, store_archive
from tests.support.reports import report
from tests.test_readme import blocks, page

QUERIES = blocks("sql", page("guides/parquet.md"))
AT = "2024-01-31 10:00:00"
JANUARY, FEBRUARY = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
EARLIER = report(
    jobs=[f"1\tcat1\t1.0\trunning\t{AT}", f"2\tcat1\t1.0\tok\t{AT}"],
    metric_num=["2\tcore\truntime_seconds\t12.0", "2\tcore\tgalaxy_slots\t4.0"],
)
LATER = report(
    jobs=[f"1\tcat1\t1.0\tok\t{AT}", f"3\tcat2\tNone\tok\t{AT}"],
    metric_num=["1\tcore\truntime_seconds\t14.0", "3\tcore\tgalaxy_slots\t8.0"],
)


@pytest.fixture
async def instance(database: Database) -> documents.Instance:
    instance = new.an_instance()
    await keep(instance)
    return instance


def asked(folder: Path, *queries: str) -> list[Any]:
    """DuckDB's results of the queries, after the views of docs/guides/parquet.md."""
    with duckdb.connect() as database:
        database.execute(QUERIES[0].replace("'exported/", f"'{folder}/"))
        return [database.execute(query).fetchall() for query in queries]


JOBS = "SELECT external_id, state, tool_id FROM jobs ORDER BY external_id"


async def test_the_queries_of_the_document_answer(instance: documents.Instance, tmp_path: Path) -> None:
    await store_archive(instance, LATER, generated_at=FEBRUARY)
    await store_archive(instance, EARLIER, generated_at=JANUARY)
    await export(tmp_path)

    jobs, tools, slots = asked(tmp_path, JOBS, *QUERIES[1:])

    assert jobs == [(1, "ok", "cat1"), (2, "ok", "cat1"), (3, "ok", "cat2")]
    assert tools == [("cat1", 2, 13.0), ("cat2", 1, None)]
    assert slots == [("cat2", 8.0), ("cat1", 4.0)]


async def test_jobs_of_two_instances_with_one_number_do_not_mix(instance: documents.Instance, tmp_path: Path) -> None:
    other = new.an_instance()
    await keep(other)
    await store_archive(instance, EARLIER)
    await store_archive(other, LATER)
    await export(tmp_path)

    (counted,) = asked(tmp_path, "SELECT instance, count(*) FROM jobs GROUP BY instance ORDER BY instance")

    assert counted == sorted([(instance.uuid, 2), (other.uuid, 2)])


async def test_what_was_superseded_after_it_was_exported_does_not_count(
    instance: documents.Instance, tmp_path: Path
) -> None:
    replaced = await store_archive(
        instance, EARLIER, identifier="1546300800.5", generated_at=JANUARY, received_at=JANUARY
    )
    await export(tmp_path)
    await replaced.set({"current": False})
    await store_archive(instance, LATER, identifier="1546300800.5", generated_at=JANUARY, received_at=FEBRUARY)
    await export(tmp_path)

    (jobs,) = asked(tmp_path, JOBS)

    assert jobs == [(1, "ok", "cat1"), (3, "ok", "cat2")]


async def test_what_an_older_parser_made_does_not_count(
    instance: documents.Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_archive(instance, EARLIER)
    await export(tmp_path)
    for module in ("arrow_schema", "export"):
        monkeypatch.setattr(f"resolvers.galaxy.parquet.{module}.PARSER_VERSION", "10")
    await export(tmp_path)

    (versions,) = asked(tmp_path, "SELECT parser_version, count(*) FROM jobs GROUP BY ALL")

    assert versions == [("10", 2)]


async def test_an_archive_that_is_there_in_part_does_not_count(instance: documents.Instance, tmp_path: Path) -> None:
    await store_archive(instance, EARLIER)
    half = await store_archive(instance, LATER)
    await export(tmp_path)
    (row,) = (tmp_path / "reports").rglob(f"{half.id}-*")
    row.unlink()

    (jobs,) = asked(tmp_path, JOBS)

    assert [id for id, *_ in jobs] == [1, 2]
