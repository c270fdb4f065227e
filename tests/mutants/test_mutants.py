"""Mutants are drawn and tried as `make mutants` says, and every module has tests to try them with."""

from collections import Counter
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from tests.mutants import chosen
from tests.mutants.__main__ import app
from tests.mutants.areas import AREAS, FURTHER, modules, nearest_tests
from tests.mutants.chosen import sample, select_named
from tests.mutants.mutant import Mutant, count_mutants, make_mutant
from tests.mutants.report import as_json, as_text
from tests.mutants.trial import Trial, Verdict, try_mutant
from tests.support.patience import within
from tests.support.running import ROOT

DOUBLED = "def doubled(number):\n    return number * 2\n"
MODULE = Mutant("doubling.py", 7, DOUBLED, DOUBLED.replace("*", "/"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one module, whose tests are yet to be written."""
    (tmp_path / "doubling.py").write_text(DOUBLED)
    return tmp_path


def _trial(project: Path, test: str, limit: float = within(), importing: str = "subprocess, sys, doubling") -> Trial:
    (project / "test_doubling.py").write_text(f"import {importing}\n\ndef test_it():\n    {test}\n")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    trial = try_mutant(MODULE, ["test_doubling.py"], project, limit)

    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    return trial


def test_every_module_of_the_areas_has_test_files_and_all_of_them_exist() -> None:
    found = {module: nearest_tests(module) for _, module in modules()}

    assert [module for module, tests in found.items() if not tests] == []
    assert [test for tests in found.values() for test in tests if not (ROOT / test).is_file()] == []
    assert [pattern for pattern, _ in FURTHER if not any(fnmatch(module, pattern) for module in found)] == []
    assert all(any(fnmatch(module, pattern) for module in found) for patterns in AREAS.values() for pattern in patterns)
    assert len(found) == len(list(modules()))


def test_the_mirror_of_paths_comes_before_the_table() -> None:
    found = nearest_tests("resolvers/access/policies.py")

    assert found[:2] == ["tests/resolvers/access/test_policies.py", "tests/journeys/test_access_commands.py"]


def test_a_mutant_that_a_test_notices_is_killed_by_it(project: Path) -> None:
    trial = _trial(project, "assert doubling.doubled(3) == 6")

    assert (trial.verdict, trial.by) == (Verdict.KILLED, "test_doubling.py::test_it")


def test_a_mutant_that_no_test_notices_survives(project: Path) -> None:
    trial = _trial(project, "assert doubling.doubled(0) == 0")

    assert (trial.verdict, trial.by) == (Verdict.SURVIVED, "")


def test_an_isolated_process_that_a_test_starts_imports_the_mutant(project: Path) -> None:
    asked = "[sys.executable, '-I', '-c', 'import doubling; assert doubling.doubled(3) == 6']"

    trial = _trial(project, f"assert subprocess.run({asked}).returncode == 0")

    assert trial.verdict is Verdict.KILLED


def test_bytecode_of_the_mutant_is_not_taken_for_that_of_the_module(project: Path) -> None:
    of_one_second = "import os; os.utime('doubling.py', (1, 1)); import doubling; assert doubling.doubled(3) == 6"
    asked = f'[sys.executable, "-I", "-c", "{of_one_second}"]'

    trial = _trial(project, f"assert subprocess.run({asked}).returncode == 0", importing="subprocess, sys")

    assert trial.verdict is Verdict.KILLED


def test_a_test_that_fails_without_the_mutant_too_kills_nothing(project: Path) -> None:
    trial = _trial(project, "assert doubling.doubled(3) == 7")

    assert trial.verdict is Verdict.UNDECIDED
    assert trial.by == "fails without the mutant too: test_doubling.py::test_it"


def test_a_mutant_whose_tests_do_not_end_in_time_is_undecided(project: Path) -> None:
    trial = _trial(project, "while True: pass", limit=3)

    assert (trial.verdict, trial.by) == (Verdict.UNDECIDED, "took more than 3 s")


def test_each_mutant_of_a_module_changes_the_line_that_it_names() -> None:
    module = "graph/clients/worker/pause.py"

    mutants = [make_mutant(module, number) for number in range(count_mutants(module))]

    assert len({mutant.source for mutant in mutants}) == len(mutants) > 20
    for mutant in mutants:
        before, after = mutant.original.splitlines(), mutant.source.splitlines()
        assert before[: mutant.line - 1] == after[: mutant.line - 1]
        assert before[mutant.line - 1] != after[mutant.line - 1]
        assert f"-{before[mutant.line - 1]}" in mutant.diff.splitlines()


def test_tables_of_a_module_are_changed_as_its_functions_are() -> None:
    module = "resolvers/access/policies.py"

    changed = (make_mutant(module, number).line for number in range(count_mutants(module)))

    (table,) = (
        number for number, line in enumerate((ROOT / module).read_text().splitlines(), 1) if line.startswith("POLICIES")
    )
    assert table in changed


def test_a_seed_draws_the_same_mutants_of_all_areas_by_turns_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Which ones are drawn is asked here. To count and to make them takes a hundred times as long.
    sizes = {module: (ROOT / module).stat().st_size for _, module in modules()}
    monkeypatch.setattr(chosen, "count_mutants", sizes.__getitem__)
    monkeypatch.setattr(chosen, "make_mutant", lambda module, number: Mutant(module, number, "", ""))
    of_module = {module: area for area, module in modules()}

    drawn, again, other = (list(islice(sample((), Random(seed)), len(AREAS))) for seed in (5, 5, 6))
    many = [mutant.name for mutant in islice(sample(["usage"], Random(5)), 100)]

    assert Counter(of_module[mutant.module] for mutant in drawn) == dict.fromkeys(AREAS, 1)
    assert drawn == again != other
    assert len(set(many)) == 100
    assert all(mutant.number < sizes[mutant.module] for mutant in (*drawn, *other))


def test_a_mutant_is_found_again_by_its_name() -> None:
    (mutant,) = select_named(["resolvers/reads/cursor.py#3"], Random(0))

    assert mutant == make_mutant("resolvers/reads/cursor.py", 3)


@pytest.mark.parametrize(
    "name", ["resolvers/nowhere.py", "resolvers/reads/cursor.py#99999", "resolvers/reads/cursor.py#x"]
)
def test_a_name_that_there_is_not_is_told(name: str) -> None:
    result = CliRunner().invoke(app, [name])

    assert result.exit_code == 2
    assert f"No mutant {name}" in " ".join(result.output.replace("│", "").split())


def test_an_area_that_there_is_not_is_told() -> None:
    result = CliRunner().invoke(app, ["--sample", "1", "--area", "weather"])

    assert result.exit_code == 2
    assert "No area weather." in result.output


def test_the_report_names_what_survived_and_counts_what_was_decided() -> None:
    trials = [
        Trial(MODULE, ["test_doubling.py"], verdict, by, 1.25)
        for verdict, by in [(Verdict.KILLED, "test"), (Verdict.SURVIVED, ""), (Verdict.UNDECIDED, "took too long")]
    ]

    report, data = as_text(trials, 5), as_json(trials, 5)

    assert report.splitlines() == [
        "doubling.py#7: line 2 of doubling.py",
        *("--- doubling.py", "+++ doubling.py", "@@ -1,2 +1,2 @@", " def doubled(number):"),
        *("-    return number * 2", "+    return number / 2", "ran test_doubling.py", ""),
        "1 of 2 mutants noticed (50%), 1 undecided. Seed 5.",
    ]
    assert [(trial["name"], trial["line"], trial["verdict"], trial["seconds"]) for trial in data["trials"]] == [
        ("doubling.py#7", 2, verdict, 1.2) for verdict in ("killed", "survived", "undecided")
    ]
