"""Archives at a destination: the rows of the parser, each archive once, whoever writes it and however often."""

import asyncio
import io
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import documents
from documents.mongo.database import Database
from documents.storage.export_destination import BucketDestination, FolderDestination
from documents.storage.google_bucket import GoogleBucket
from resolvers.galaxy.parquet.archives import Shard, archives, uuids_of
from resolvers.galaxy.parquet.export import Export, ExportOutcome, ExportStatus
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.user_errors import NotFound
from tests.support import builders as new
from tests.support.builders import keep
from tests.support.exports import bytes_below, export, exported_rows, store_archive
from tests.support.reports import read, report
from tests.support.storage import LAB, Gate, Place

FIRST = report(
    jobs=[
        "1\tcat1\t1.0\tok\t2019-01-31 10:00:00",
        "2\tcat1\t1.0\terror\t2019-02-01 10:00:00",
        "3\tcat2\tNone\tok\tNone",
    ],
    metric_num=["1\tcore\truntime_seconds\t12.0000000"],
    params=['1\tseed\t"42"'],
)
SECOND = report(jobs=["1\tcat1\t1.0\tok\t2019-01-31 10:00:00"])
BROKEN = FIRST[:-20]


@pytest.fixture
async def instance(database: Database) -> documents.Instance:
    instance = new.an_instance()
    await keep(instance)
    return instance


async def test_jobs_are_written_by_instance_and_month(
    place: Place, instance: documents.Instance, tmp_path: Path
) -> None:
    archive = await store_archive(instance, FIRST)

    outcomes = await export(tmp_path)

    assert outcomes == [ExportOutcome(ExportStatus.EXPORTED, jobs=3)]
    name = f"{archive.id}-{PARSER_VERSION}-{archive.sha256}.parquet"
    of = f"instance={instance.uuid}"
    assert [path for path in bytes_below(tmp_path) if not path.startswith(".")] == [
        *(f"jobs/{of}/month={month}/{name}" for month in ("2019-01", "2019-02", "unknown")),
        f"reports/{of}/{name}",
    ]
    rows = exported_rows(tmp_path)
    assert [(row["external_id"], row["month"], row["instance"]) for row in rows] == [
        (1, "2019-01", instance.uuid),
        (2, "2019-02", instance.uuid),
        (3, "unknown", instance.uuid),
    ]
    same = ("external_id", "tool_id", "tool_version", "state", "runtime_seconds", "datasets")
    assert [{name: row[name] for name in same} for row in rows] == [
        {name: job[name] for name in same} for job in read(FIRST).jobs
    ]
    assert {row["archive"] for row in rows} == {archive.id}
    assert "seed" not in str(rows)


async def test_a_report_is_a_row_that_says_what_it_came_to(instance: documents.Instance, tmp_path: Path) -> None:
    archive = await store_archive(instance, FIRST)
    broken = await store_archive(instance, BROKEN)

    outcomes = await export(tmp_path)

    assert [outcome.status for outcome in outcomes] == [ExportStatus.EXPORTED, ExportStatus.REFUSED]
    sound, refused = exported_rows(tmp_path, "reports")
    at = archive.received_at
    assert sound == {
        "archive": archive.id,
        "identifier": archive.identifier,
        "sha256": archive.sha256,
        "parser_version": PARSER_VERSION,
        "reported_at": at,
        "received_at": at,
        "instance": instance.uuid,
        "jobs": 3,
        "metrics": 1,
        "datasets": 0,
        "rejected": 0,
        "refused": None,
    }
    assert (refused["archive"], refused["jobs"], refused["refused"]) == (broken.id, 0, outcomes[1].reason)
    assert "truncated" in outcomes[1].reason
    assert {row["archive"] for row in exported_rows(tmp_path)} == {archive.id}


async def test_two_runs_write_equal_bytes(instance: documents.Instance, tmp_path: Path) -> None:
    await store_archive(instance, FIRST)
    await store_archive(instance, SECOND)

    await export(tmp_path / "one")
    await export(tmp_path / "two")

    assert len(bytes_below(tmp_path / "one")) == 6
    assert bytes_below(tmp_path / "one") == bytes_below(tmp_path / "two")


async def test_a_second_run_writes_what_is_new_only(instance: documents.Instance, tmp_path: Path) -> None:
    await store_archive(instance, FIRST)
    await export(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    await store_archive(instance, SECOND)

    outcomes = await export(tmp_path)

    assert outcomes == [ExportOutcome(ExportStatus.EXISTS), ExportOutcome(ExportStatus.EXPORTED, jobs=1)]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert before
    assert len(after) == len(before) + 2
    assert before.items() <= after.items()


async def test_an_export_that_broke_off_is_completed(instance: documents.Instance, tmp_path: Path) -> None:
    await store_archive(instance, FIRST)
    await export(tmp_path / "whole")
    whole = bytes_below(tmp_path / "whole")
    for left in range(1, len(whole)):
        folder = tmp_path / f"left-{left}"
        for path, content in list(whole.items())[:left]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

        outcomes = await export(folder)

        assert outcomes == [ExportOutcome(ExportStatus.EXPORTED, jobs=3)]
        assert bytes_below(folder) == whole


async def test_two_machines_at_once_write_each_file_once(instance: documents.Instance, tmp_path: Path) -> None:
    for _ in range(3):
        await store_archive(instance, FIRST)

    outcomes = await asyncio.gather(export(tmp_path), export(tmp_path))

    assert all(outcome.status in (ExportStatus.EXPORTED, ExportStatus.EXISTS) for run in outcomes for outcome in run)
    assert len(exported_rows(tmp_path)) == 9
    assert bytes_below(tmp_path / ".partial") == {}


async def test_shards_have_every_archive_once(instance: documents.Instance, tmp_path: Path) -> None:
    kept = [(await store_archive(instance, SECOND)).id for _ in range(12)]

    shards = [await export(tmp_path, shard=Shard(index, 3)) for index in range(3)]

    assert all(outcome.status is ExportStatus.EXPORTED for shard in shards for outcome in shard)
    assert sorted(row["archive"] for row in exported_rows(tmp_path)) == sorted(kept)


def test_shards_are_about_as_large_as_each_other() -> None:
    ids = [f"archive_{number:024x}" for number in range(300)]

    sizes = [sum(Shard(index, 3).has(id) for id in ids) for index in range(3)]

    assert sum(sizes) == 300
    assert min(sizes) > 80


async def test_archives_that_are_no_longer_current_or_in_quarantine_are_left_out(
    instance: documents.Instance, tmp_path: Path
) -> None:
    await store_archive(instance, FIRST, current=False)
    await store_archive(instance, FIRST, quarantine="The version of the report is 99.")
    kept = await store_archive(instance, SECOND)

    await export(tmp_path)

    assert {row["archive"] for row in exported_rows(tmp_path, "reports")} == {kept.id}


async def test_instances_are_named_by_uuid_or_id(instance: documents.Instance, tmp_path: Path) -> None:
    other, third = new.an_instance(), new.an_instance()
    await keep(other, third)
    for one in (instance, other, third):
        await store_archive(one, SECOND)

    await export(tmp_path, instance.uuid, third.id)

    assert {row["instance"] for row in exported_rows(tmp_path)} == {instance.uuid, third.uuid}
    with pytest.raises(NotFound, match="instance_none"):
        await export(tmp_path, instance.uuid, "instance_none")


async def test_parameters_lie_apart_from_what_everybody_may_read(instance: documents.Instance, tmp_path: Path) -> None:
    await store_archive(instance, FIRST)

    await export(tmp_path)
    outcomes = await export(tmp_path, parameters=True)

    assert outcomes == [ExportOutcome(ExportStatus.EXPORTED, jobs=3)]
    assert {path.partition("/")[0] for path in bytes_below(tmp_path)} == {"jobs", "reports", "with_parameters"}
    assert "parameters" not in exported_rows(tmp_path)[0]
    rows = exported_rows(tmp_path / "with_parameters")
    assert [row["parameters"] for row in rows] == [[{"name": "seed", "value": "42"}], [], []]


@pytest.mark.parametrize("gone", [True, False])
async def test_bytes_that_are_not_those_of_the_archive_are_not_exported(
    folder: Place, instance: documents.Instance, tmp_path: Path, gone: bool
) -> None:
    archive = await store_archive(instance, SECOND)
    await folder.bucket.delete(archive.key)
    if not gone:
        other = await store_archive(instance, FIRST, current=False)
        await archive.set({"key": other.key, "generation": other.generation})

    (outcome,) = await export(tmp_path)

    assert outcome.status is ExportStatus.FAILED
    assert outcome.reason.startswith("No object exists at" if gone else "The object at")
    assert bytes_below(tmp_path) == {}


async def test_a_bucket_takes_an_export_as_a_folder_does(
    gate: Gate, instance: documents.Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = await store_archive(instance, FIRST)
    await export(tmp_path)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gate.emulator)
    bucket = GoogleBucket(LAB)
    prefix = f"exports/{archive.id}/"
    to = Export(BucketDestination(bucket, prefix, "application/vnd.apache.parquet"))
    (row,) = [row async for row in archives(await uuids_of([]), Shard())]

    outcomes = [await to.archive(row, instance.uuid) for _ in range(2)]

    assert outcomes == [ExportOutcome(ExportStatus.EXPORTED, jobs=3), ExportOutcome(ExportStatus.EXISTS)]
    for path, content in bytes_below(tmp_path).items():
        kept = await bucket.stat(prefix + path)
        assert kept is not None
        assert b"".join([chunk async for chunk in bucket.read(prefix + path, kept.generation)]) == content
    assert not await BucketDestination(bucket, prefix, "").publish(
        f"{next(iter(bytes_below(tmp_path)))}", io.BytesIO(b"x")
    )
    await bucket.close()


async def test_what_killed_writers_left_is_removed_in_time(
    instance: documents.Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".partial" / "abc"
    left.parent.mkdir()
    left.write_bytes(b"half")

    FolderDestination(tmp_path).remove_partial_writes()
    assert left.exists()
    monkeypatch.setattr("documents.storage.export_destination.PARTIAL_WRITE_TTL", -1)
    FolderDestination(tmp_path).remove_partial_writes()
    assert not left.exists()
    assert ds.dataset(tmp_path).files == []


async def test_files_say_nothing_of_when_and_where_they_were_made(instance: documents.Instance, tmp_path: Path) -> None:
    await store_archive(instance, FIRST)
    await export(tmp_path)

    paths = list(tmp_path.rglob("*.parquet"))
    assert paths
    for path in paths:
        file = pq.ParquetFile(path)
        assert set(file.metadata.metadata) <= {b"ARROW:schema"}
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"
