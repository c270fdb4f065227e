"""What is left to publish of a series, and which documents of a pipeline one transform made."""

from dataclasses import dataclass
from datetime import datetime

from resolvers.ingest.catalogue_files import Document
from resolvers.ingest.catalogue_pipelines import Series, State


@dataclass(frozen=True)
class Due:
    """How the states of a series stand to the versions that its dataset has."""

    publish: list[State]
    """In order; each differs from the one before it."""
    here: list[Document]
    """Equal to a version that is there, or to the state before them."""
    too_late: list[Document]
    """Older than a version that is there: publishing them now would turn the history around."""


def due(series: Series, versions: list[str]) -> Due:
    """What to publish, given the digests of the dataset's versions from first to last.

    The states are laid beside the versions in order, as many as possible. What follows the last one that has a version
    is new, even if it equals an earlier one: a series A, B, A has three versions. What comes before it and has none is
    too late.
    """
    states, repeated = _distinct(series.states)
    digests = [state.document.csvw.sha256 for state in states]
    done = _length_done(digests, versions)
    before = [state.document for state in states[:done]]
    return Due(
        publish=states[done:],
        here=repeated + [document for document in before if document.csvw.sha256 in versions],
        too_late=[document for document in before if document.csvw.sha256 not in versions],
    )


def _distinct(states: list[State]) -> tuple[list[State], list[Document]]:
    """The states that change something, and the documents of those that do not.

    The present state changes nothing when it equals any state of the history, not the last one only: the history then
    reaches further than the folder.
    """
    listed = {state.document.csvw.sha256 for state in states if state.listed}
    kept: list[State] = []
    repeated: list[Document] = []
    for state in states:
        digest = state.document.csvw.sha256
        same = bool(kept) and kept[-1].document.csvw.sha256 == digest
        if same or (not state.listed and digest in listed):
            repeated.append(state.document)
        else:
            kept.append(state)
    return kept, repeated


def _length_done(digests: list[str], versions: list[str]) -> int:
    """How many digests, from the first, are needed to match as many versions in order as all of them can."""
    matched = [0] * (len(versions) + 1)
    done, most = 0, 0
    for number, digest in enumerate(digests, 1):
        row = [0]
        for place, version in enumerate(versions):
            row.append(matched[place] + 1 if version == digest else max(matched[place + 1], row[place]))
        matched = row
        if matched[-1] > most:
            done, most = number, matched[-1]
    return done


@dataclass(frozen=True)
class Run:
    """Documents of one pipeline that appeared together, at most one for each dataset."""

    created: datetime | None
    commit: str | None
    states: list[tuple[Series, State]]


MOST = 200
"""Documents that one transform can report."""


def runs(waiting: list[tuple[Series, list[State]]]) -> list[Run]:
    """The states in the order of their times, those of one commit together, those without a time last.

    Within a series the order given is kept, whatever the times say.
    """
    queues = [(series, list(reversed(states))) for series, states in waiting if states]
    found: list[Run] = []
    while queues:
        first = min((states[-1] for _, states in queues), key=_when)
        together = [(series, states) for series, states in queues if _moment(states[-1]) == _moment(first)][:MOST]
        found.append(Run(first.created, first.commit, [(series, states.pop()) for series, states in together]))
        queues = [(series, states) for series, states in queues if states]
    return found


def _when(state: State) -> tuple[bool, float]:
    return (state.created is None, state.created.timestamp() if state.created else 0.0)


def _moment(state: State) -> tuple[datetime | None, str | None]:
    return state.created, state.commit
