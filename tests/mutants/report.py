"""The outcomes of the mutants, as text and as JSON."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.mutants.trial import Trial, Verdict


def as_line(trial: Trial) -> str:
    """One trial as a line of progress."""
    mutant = trial.mutant
    return f"{trial.verdict:<9} {mutant.name} (line {mutant.line}, {trial.seconds:.0f} s) {trial.by}".rstrip()


def as_text(trials: Sequence[Trial], seed: int) -> str:
    """Each survivor with its diff and the tests that ran, then the figures of all and of each area."""
    survivors = [trial for trial in trials if trial.verdict is Verdict.SURVIVED]
    return "\n".join([*map(_survivor, survivors), f"{_figures(trials)} Seed {seed}."])


def _survivor(trial: Trial) -> str:
    mutant = trial.mutant
    return f"{mutant.name}: line {mutant.line} of {mutant.module}\n{mutant.diff}\nran {' '.join(trial.tests)}\n"


def _figures(trials: Sequence[Trial]) -> str:
    count = Counter(trial.verdict for trial in trials)
    decided = count[Verdict.KILLED] + count[Verdict.SURVIVED]
    share = f" ({count[Verdict.KILLED] / decided:.0%})" if decided else ""
    return f"{count[Verdict.KILLED]} of {decided} mutants noticed{share}, {count[Verdict.UNDECIDED]} undecided."


def as_json(trials: Sequence[Trial], seed: int) -> dict[str, Any]:
    """All trials, in the order in which they were made."""
    return {"seed": seed, "figures": _figures(trials), "trials": [_as_object(trial) for trial in trials]}


def _as_object(trial: Trial) -> dict[str, Any]:
    mutant = trial.mutant
    return {
        "name": mutant.name,
        "module": mutant.module,
        "line": mutant.line,
        "diff": mutant.diff,
        "tests": list(trial.tests),
        "verdict": trial.verdict,
        "by": trial.by,
        "seconds": round(trial.seconds, 1),
    }
