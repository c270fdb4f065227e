"""Operations are counted by name, kind, role and code, and names that clients make up use up no memory."""

import pytest

from graph.engine.operation_identity import OperationIdentity
from graph.metrics.operations import MAX_ANONYMOUS_NAMES, MAX_OPERATION_NAMES, OperationMetrics
from tests.support.running import Running


def counted(metrics: OperationMetrics) -> dict[tuple[str, ...], float]:
    """The number of answers by operation, kind, role and code."""
    values = metrics.snapshots()[0].values
    return {labels: value for labels, value in values.items() if not isinstance(value, list)}


def test_an_answer_counts_in_its_buckets_of_time_and_size() -> None:
    metrics = OperationMetrics()

    metrics.series_of(OperationIdentity("Jobs", "query"), "USER", "").pending.append((0.005, 1_001))
    metrics.series_of(OperationIdentity("Jobs", "query"), "USER", "").pending.append((20, 0))

    labels = ("Jobs", "query", "user", "")
    answers, seconds, sizes = (family.values[labels] for family in metrics.snapshots())
    assert answers == 2
    assert seconds == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 20.005]
    assert sizes == [1, 0, 1, 0, 0, 0, 0, 1_001]


def test_operations_beyond_the_bound_of_names_count_as_other() -> None:
    metrics = OperationMetrics()

    for number in range(MAX_OPERATION_NAMES + 5):
        metrics.series_of(OperationIdentity(f"Q{number}", "query"), "USER", "").pending.append((0.1, 10))
    metrics.series_of(OperationIdentity("Q0", "query"), "USER", "").pending.append((0.1, 10))

    found = counted(metrics)
    assert len(found) == MAX_OPERATION_NAMES + 1
    assert found["Q0", "query", "user", ""] == 2
    assert found["other", "query", "user", ""] == 5


def test_anonymous_callers_leave_names_for_others() -> None:
    metrics = OperationMetrics()

    for number in range(MAX_OPERATION_NAMES):
        metrics.series_of(OperationIdentity(f"Q{number}", "query"), "ANONYMOUS", "").pending.append((0.1, 10))
    metrics.series_of(OperationIdentity("Mine", "mutation"), "WORKER", "").pending.append((0.1, 10))

    found = counted(metrics)
    assert found["other", "query", "anonymous", ""] == MAX_OPERATION_NAMES - MAX_ANONYMOUS_NAMES
    assert found["Mine", "mutation", "worker", ""] == 1


@pytest.mark.parametrize(
    ("query", "token", "labels"),
    [
        ("query A1{hello}", False, 'code="",kind="query",operation="A1",role="anonymous"'),
        ("{__typename}", True, 'code="",kind="query",operation="",role="admin"'),
        ("query A2{missing}", False, 'code="NOT_FOUND",kind="query",operation="A2",role="anonymous"'),
        ("query A3{lost}", True, 'code="UNAVAILABLE",kind="query",operation="A3",role="admin"'),
        ("query A4($n:Int!){number(value:$n)}", False, 'code="BAD_USER_INPUT",kind="query",operation="A4",'),
        ("mutation A5{alter(constant:1)}", True, None),
    ],
)
def test_a_server_counts_each_answer_once(faulty_server: Running, query: str, token: bool, labels: str | None) -> None:
    def answers() -> dict[str, float]:
        rows = (row.rpartition(" ") for row in faulty_server.get("/metrics").text.splitlines())
        return {name: float(value) for name, _, value in rows if name.startswith("provenance_graphql_operation_answ")}

    before = answers()
    headers = {"authorization": f"Bearer {faulty_server.token}"} if token else {}
    faulty_server.post(query, **headers)
    after = answers()

    changed = [name for name, value in after.items() if "_total{" in name and value != before.get(name, 0.0)]
    # A document that is not valid has no operation.
    assert len(changed) == (0 if labels is None else 1)
    assert labels is None or labels in changed[0]
