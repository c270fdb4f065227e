"""Alerts and the dashboard ask for metrics, labels and values that there are, and each alert is explained."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from graphql import OperationType

from graph.clients.worker.metrics import Ending
from resolvers.access.viewer import Role
from tests.docs.metrics import server_families, worker_labels
from tests.support.needs import need
from tests.support.promql import question_of
from tests.support.running import ROOT

ALERTS, DASHBOARD = ROOT / "deploy" / "alerts.yaml", ROOT / "deploy" / "grafana-dashboard.json"
PAGE = ROOT / "docs" / "operations" / "watch.md"
OF_SCRAPES = {"instance", "job", "le"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
OPEN_LABELS = {"operation", "code", "status", "path", "version", "commit", "python", "mongodb"}
"""Labels whose values are not known beforehand."""


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Every expression of the alerts and of the dashboard."""
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def known() -> dict[str, set[str]]:
    """The labels of each metric that there is, by the names under which Prometheus keeps it."""
    found = {"up": set[str]()}
    for family in server_families():
        found |= {family.name + suffix: set(family.labels) for suffix in SUFFIXES[family.kind]}
    for name, (kind, labels) in worker_labels().items():
        found |= {name + suffix: set(labels) for suffix in SUFFIXES[kind]}
    return found


def known_values() -> dict[str, set[str]]:
    """The values of each label that has a closed set of them."""
    found: dict[str, set[str]] = {
        "role": {role.lower() for role in Role},
        "job": {"provenance-graph", "provenance-worker"},
    }
    for family in server_families():
        for labels in family.values:
            for label, value in zip(family.labels, labels, strict=True):
                found.setdefault(label, set()).add(value)
    found["kind"] |= {kind.value for kind in OperationType}
    return found | {"state": {"checked_out", "idle"}}


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_asks_for_metrics_labels_and_values_that_there_are(expression: str) -> None:
    question, metrics, values = question_of(expression), known(), known_values()

    assert question.metrics
    assert question.metrics - metrics.keys() == set()
    assert question.labels - OF_SCRAPES - set().union(*(metrics[name] for name in question.metrics)) == set()
    unknown = {
        (label, value)
        for metric, label, value in question.values
        if label not in OPEN_LABELS | {"instance"} and value not in values.get(label, set())
    }
    assert unknown == set()
    statuses = {value for metric, label, value in question.values if label == "status" and "worker" in metric}
    assert statuses <= set(Ending)


def test_every_metric_of_our_own_stands_on_the_dashboard_or_in_an_alert() -> None:
    asked = set().union(*(question_of(expression).metrics for expression in expressions()))
    bases = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked} | asked
    own = {family.name for family in server_families() if family.name.startswith("provenance_")}
    names = own | set(worker_labels())

    assert sorted(names - bases) == [
        "provenance_change_stream_age_seconds",
        "provenance_graphql_refusals",
        "provenance_operations_waiting",
        "provenance_operations_weight",
        "provenance_worker_claims",
        "provenance_worker_uploaded_bytes",
    ]


def test_each_alert_is_explained_on_the_page_and_no_other() -> None:
    explained = re.findall(r"^### (Provenance\w+)$", PAGE.read_text(), re.MULTILINE)

    assert explained == [rule["alert"] for rule in rules()]


def test_each_alert_has_a_severity_and_a_sentence() -> None:
    assert {rule["labels"]["severity"] for rule in rules()} == {"warning", "critical"}
    assert [rule["alert"] for rule in rules() if not rule["annotations"]["summary"].endswith(".")] == []


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    found = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for panel in found
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in found}) == len(found)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_prometheus_accepts_the_alerts_and_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    promtool = need("promtool")
    panels_as_rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m").replace("$instance", ".*")}
        for number, expression in enumerate(expressions())
    ]
    written = tmp_path / "dashboard.yaml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": panels_as_rules}]}))

    checked = subprocess.run([promtool, "check", "rules", ALERTS, written], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ("a > 0 and b == 0", {"a", "b"}, set()),
        ('sum by (x, y) (rate(a_total{z=~"p|q", w!="r"}[5m]))', {"a_total"}, {"x", "y", "z", "w"}),
        ("topk(3, sum without (x) (a)) / on (y) group_left (z) b", {"a", "b"}, {"x", "y", "z"}),
        ("histogram_quantile(0.9, a_bucket) > 100e6 unless on (i) c == 0", {"a_bucket", "c"}, {"i"}),
        ("sum(a) by (x)", {"a"}, {"x"}),
        ("a < max_over_time(a[1h])", {"a"}, set()),
    ],
)
def test_the_names_in_an_expression_are_found(expression: str, metrics: set[str], labels: set[str]) -> None:
    question = question_of(expression)

    assert (question.metrics, question.labels) == (metrics, labels)
