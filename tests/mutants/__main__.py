"""`make mutants`: whether the tests notice small changes of the code."""

import json
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from tests.mutants.areas import AREAS, nearest_tests
from tests.mutants.chosen import sample, select_named
from tests.mutants.mutant import Mutant
from tests.mutants.report import as_json, as_line, as_text
from tests.mutants.trial import Trial, try_mutant
from tests.support.running import ROOT

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def mutants(
    modules: Annotated[
        list[str] | None,
        typer.Argument(help="Modules such as resolvers/access/policies.py, or mutants of a report: MODULE#7."),
    ] = None,
    sample: Annotated[int | None, typer.Option(min=1, max=1000, help="Try so many, drawn from all areas.")] = None,
    area: Annotated[list[str] | None, typer.Option(help=f"Draw from this area only: {', '.join(AREAS)}.")] = None,
    seed: Annotated[int, typer.Option(help="Draws others, in another order.")] = 0,
    minutes: Annotated[float, typer.Option(min=0, help="Begin no further mutant after this time.")] = 60,
    limit: Annotated[float, typer.Option(min=1, help="Seconds that the tests of one mutant may take.")] = 600,
    report: Annotated[Path | None, typer.Option("--json", help="Write all trials to this file as they end.")] = None,
) -> None:
    """Change copies of the code in one place each, and tell which changes the tests of the module do not notice."""
    trials: list[Trial] = []
    for trial in _within(minutes, islice(_chosen(modules, area, seed), sample), limit):
        trials.append(trial)
        typer.echo(f"{len(trials):4} {as_line(trial)}")
        if report:
            report.write_text(json.dumps(as_json(trials, seed), indent=1))
    typer.echo(f"\n{as_text(trials, seed)}")


def _chosen(modules: Sequence[str] | None, areas: Sequence[str] | None, seed: int) -> Iterator[Mutant]:
    if unknown := set(areas or ()) - set(AREAS):
        raise typer.BadParameter(f"No area {', '.join(sorted(unknown))}.")
    if not modules:
        return sample(areas or (), Random(seed))
    try:
        return select_named(modules, Random(seed))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _within(minutes: float, chosen: Iterable[Mutant], limit: float) -> Iterator[Trial]:
    end = time.monotonic() + minutes * 60
    for mutant in chosen:
        if time.monotonic() > end:
            return
        yield try_mutant(mutant, nearest_tests(mutant.module), ROOT, limit)


if __name__ == "__main__":
    # Ends as by Ctrl-C, so that neither the tests of a mutant nor its copy outlive the command.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
