"""Planning what to publish: the new states of each series, and the documents of each transform."""

from dataclasses import dataclass
from datetime import datetime

from resolvers.imports.catalogue.files import Document
from resolvers.imports.catalogue.pairing import Series, State


@dataclass(frozen=True)
class PublishPlan:
    """The states of a series, sorted by comparison with the versions of its dataset."""

    publish: list[State]
    """States to publish, in order; each differs from the one before it."""
    existing: list[Document]
    """Documents equal to an existing version, or to the state before them."""
    too_late: list[Document]
    """Documents older than an existing version: publishing them now would reverse the history."""


def plan_publications(series: Series, versions: list[str], newest_at: datetime | None = None) -> PublishPlan:
    """The plan for a series, by the digests of the dataset's versions from first to last, and the time of the last.

    As many states as possible are matched with versions in order. States after the last match are new, even if they
    equal an earlier one: a series A, B, A has three versions, even if only the last A is in the folder and it was
    made after B. Unmatched states before the last match are too late.
    """
    states, repeated = _split_repeated(series.states)
    digests = [state.document.csvw.sha256 for state in states]
    done = _published_prefix_length(digests, versions)
    if done == len(states) and states and _is_reverted(states[-1], versions, newest_at):
        done -= 1
    before = [state.document for state in states[:done]]
    return PublishPlan(
        publish=states[done:],
        existing=repeated + [document for document in before if document.csvw.sha256 in versions],
        too_late=[document for document in before if document.csvw.sha256 not in versions],
    )


def _is_reverted(state: State, versions: list[str], newest_at: datetime | None) -> bool:
    """Whether a state that equals an older version was made after that version had been replaced."""
    if not versions or state.document.csvw.sha256 == versions[-1]:
        return False
    return state.created is not None and newest_at is not None and state.created > newest_at


def _split_repeated(states: list[State]) -> tuple[list[State], list[Document]]:
    """The states that differ from their predecessors, and the documents of those that do not.

    The present state counts as repeated if it equals any state of the history, not only the last one: the history is
    then newer than the folder.
    """
    listed_digests = {state.document.csvw.sha256 for state in states if state.is_listed}
    distinct: list[State] = []
    repeated: list[Document] = []
    for state in states:
        digest = state.document.csvw.sha256
        is_same = bool(distinct) and distinct[-1].document.csvw.sha256 == digest
        if is_same or (not state.is_listed and digest in listed_digests):
            repeated.append(state.document)
        else:
            distinct.append(state)
    return distinct, repeated


def _published_prefix_length(digests: list[str], versions: list[str]) -> int:
    """The length of the shortest prefix of the digests that matches as many versions, in order, as all digests do."""
    matched = [0] * (len(versions) + 1)
    length, longest = 0, 0
    for number, digest in enumerate(digests, 1):
        row = [0]
        for place, version in enumerate(versions):
            row.append(matched[place] + 1 if version == digest else max(matched[place + 1], row[place]))
        matched = row
        if matched[-1] > longest:
            length, longest = number, matched[-1]
    return length


@dataclass(frozen=True)
class Run:
    """Documents that a pipeline made together, at most one for each dataset: they become one transform."""

    created: datetime | None
    commit: str | None
    states: list[tuple[Series, State]]


MAX_DOCUMENTS_PER_TRANSFORM = 200
"""Documents that one transform can report."""


def runs(states_of_series: list[tuple[Series, list[State]]]) -> list[Run]:
    """The runs of the states in the order of time, with one run per commit, and states without a time last.

    The states of a series keep their order, whatever their times.
    """
    queues = [(series, list(reversed(states))) for series, states in states_of_series if states]
    ordered: list[Run] = []
    while queues:
        first = min((states[-1] for _, states in queues), key=_when)
        together = [(series, states) for series, states in queues if _moment(states[-1]) == _moment(first)]
        documents = [(series, states.pop()) for series, states in together[:MAX_DOCUMENTS_PER_TRANSFORM]]
        ordered.append(Run(first.created, first.commit, documents))
        queues = [(series, states) for series, states in queues if states]
    return ordered


def _when(state: State) -> tuple[bool, float]:
    return (state.created is None, state.created.timestamp() if state.created else 0.0)


def _moment(state: State) -> tuple[datetime | None, str | None]:
    return state.created, state.commit
