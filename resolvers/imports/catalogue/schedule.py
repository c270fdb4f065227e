"""Planning the publication of a series: the states left to publish, and the documents of each transform."""

from dataclasses import dataclass
from datetime import datetime

from resolvers.imports.catalogue.files import Document
from resolvers.imports.catalogue.pairing import Series, State


@dataclass(frozen=True)
class Due:
    """The states of a series, compared with the versions of its dataset."""

    publish: list[State]
    """States to publish, in order; each differs from the one before it."""
    here: list[Document]
    """Documents equal to an existing version, or to the state before them."""
    too_late: list[Document]
    """Documents older than an existing version: publishing them now would reverse the history."""


def due(series: Series, versions: list[str], newest_at: datetime | None = None) -> Due:
    """The plan for a series, given the digests of the dataset's versions from first to last, and the time of the last.

    As many states as possible are matched with versions in order. States after the last match are new, even if they
    equal an earlier one: a series A, B, A has three versions, also when only the last A is in the folder and it was
    made after B. Unmatched states before the last match are too late.
    """
    states, repeated = _distinct(series.states)
    digests = [state.document.csvw.sha256 for state in states]
    done = _length_done(digests, versions)
    if done == len(states) and states and _is_back(states[-1], versions, newest_at):
        done -= 1
    before = [state.document for state in states[:done]]
    return Due(
        publish=states[done:],
        here=repeated + [document for document in before if document.csvw.sha256 in versions],
        too_late=[document for document in before if document.csvw.sha256 not in versions],
    )


def _is_back(state: State, versions: list[str], newest_at: datetime | None) -> bool:
    """Whether a state that equals a version was made after a later version had replaced that."""
    if not versions or state.document.csvw.sha256 == versions[-1]:
        return False
    return state.created is not None and newest_at is not None and state.created > newest_at


def _distinct(states: list[State]) -> tuple[list[State], list[Document]]:
    """The states that differ from their predecessors, and the documents of those that do not.

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
    """The length of the shortest prefix of digests that matches as many versions, in order, as all of them."""
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
    """The states in order of time, those of one commit together, those without a time last.

    Within a series the given order is kept, whatever the times are.
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
