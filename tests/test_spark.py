"""The example of a Spark job, run by a real Spark on two cores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from tests.support import builders as new
from tests.support.builders import keep
from tests.support.exports import Rows, exported_rows, store_archive
from tests.support.galaxies import an_identifier, metadata
from tests.support.needs import PROJECT, need, need_package
from tests.support.patience import within
from tests.support.reports import report
from tests.support.running import command, environment, on_database
from tests.support.storage import Place

FIRST = report(
    jobs=[
        "1\tcat1\t1.0\tok\t2019-01-31 10:00:00.123456",
        "2\tcat1\t1.0\terror\t2019-02-01 10:00:00",
        "3\tü\tNone\tok\tNone",
    ],
    metric_num=["1\tcore\truntime_seconds\t12.0000000", "2\tcore\truntime_seconds\t0E-7"],
    metric_txt=["1\tenv\tPATH\t/bin"],
    params=['1\tseed\t"42"'],
    datasets=["1\t9\tbam\t12345678901234\tinput1\tinput", "1\t10\tNone\t-1\tNone\toutput"],
)
SECOND = report(jobs=[f"{number}\tcat2\t2.0\tok\t2019-02-01 10:00:00" for number in range(4, 2500)])
BROKEN = FIRST[:-20]
RUNS = """import json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    runpy.run_path("examples/spark_jobs.py", run_name="__main__")
    print("---")
"""
"""Runs the example several times in one Spark, which takes long to start."""
LONG = within(600)
"""Seconds that Spark may take, of which it takes thirty on a quiet machine."""
QUICKLY = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java compiles less, and collects in one thread, which pays for what runs for seconds."""


pytestmark = pytest.mark.timeout(2 * LONG)


@pytest.fixture(autouse=True)
def _a_spark() -> None:
    need_package("pyspark")
    need("java")


def spark(*runs: list[str], folder: Path) -> list[str]:
    """The output of each run of the example."""
    home = "import pyspark.find_spark_home as at; print(at._find_spark_home())"
    found = subprocess.run([sys.executable, "-c", home], capture_output=True, text=True, check=True).stdout.strip()
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "600m",
        "spark.local.dir": str(folder),
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
    }
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    options += ["--master", "local[2]", "--driver-java-options", QUICKLY]
    (folder / "runs.py").write_text(RUNS)
    done = subprocess.run(
        [f"{found}/bin/spark-submit", *options, str(folder / "runs.py"), json.dumps(runs)],
        cwd=PROJECT,
        env=os.environ | {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    # Spark tells of all that it does, and what went wrong is somewhere among that.
    assert done.returncode == 0, "\n".join(line for line in done.stderr.splitlines() if " INFO " not in line)
    return done.stdout.split("---\n")[:-1]


def as_set(rows: Rows, *, without: frozenset[str] = frozenset()) -> set[str]:
    """Rows, and some columns less, that can be compared in any order."""
    return {repr(sorted((name, value) for name, value in row.items() if name not in without)) for row in rows}


async def test_spark_makes_the_rows_that_the_export_makes(
    database: Database, mongod: EmbeddedMongo, folder: Place, fast_directory: Path, tmp_path: Path
) -> None:
    instance, other = new.an_instance(), new.an_instance()
    await keep(instance, other)
    refused = await store_archive(instance, BROKEN)
    await store_archive(instance, FIRST)
    await store_archive(other, SECOND)
    env = environment(tmp_path) | on_database(mongod.uri, database.name)
    env["PROVENANCE_DATA_DIR"] = str(fast_directory)
    written = command("export", "parquet", str(tmp_path / "local"), env=env)
    listed = command("export", "list", env=env)
    (tmp_path / "archives.jsonl").write_text(listed.stdout)
    (tmp_path / "reports").mkdir()
    for content in (FIRST, BROKEN):
        path = tmp_path / "reports" / an_identifier()
        path.with_name(f"{path.name}.tar.gz").write_bytes(content)
        path.with_name(f"{path.name}.json").write_bytes(metadata(path.name, content))
    (tmp_path / "reports" / "metadata.json").write_text("[]")

    told = spark(
        [str(tmp_path / "archives.jsonl"), str(tmp_path / "listed/jobs")],
        ["--instance", instance.uuid, "--parameters", str(tmp_path / "reports"), str(tmp_path / "found/jobs")],
        folder=tmp_path,
    )

    assert (written.returncode, listed.returncode) == (0, 0), written.stderr
    local = exported_rows(tmp_path / "local")
    assert len(local) == 3 + 2496
    assert len(exported_rows(tmp_path / "listed")) == len(local)
    assert as_set(exported_rows(tmp_path / "listed")) == as_set(local)
    assert told[0] == f"{refused.id} gave no jobs.\n"

    found, own = exported_rows(tmp_path / "found"), frozenset({"archive", "reported_at", "parameters"})
    of_instance = [row for row in local if row["instance"] == instance.uuid]
    assert as_set(found, without=own) == as_set(of_instance, without=own)
    assert found[0]["parameters"] == [{"name": "seed", "value": "42"}]
    assert told[1].startswith("metadata is left out: ")
    assert told[1].endswith(" gave no jobs.\n")
