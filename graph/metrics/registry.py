"""The metrics of one server process, and of all processes of its server."""

import asyncio
from collections.abc import Callable, Mapping
from importlib.metadata import version
from platform import python_version
from typing import TypeVar

from documents.mongo import round_trips
from graph.engine.admission import TOTAL_WEIGHT, Admission
from graph.metrics.backlog import Backlog
from graph.metrics.event_loop import lag_histogram
from graph.metrics.families import (
    CallbackCounter,
    CallbackGauge,
    Combine,
    Counter,
    Family,
    FamilySnapshot,
    Gauge,
    Histogram,
    Labels,
)
from graph.metrics.libraries import LibraryMetrics
from graph.metrics.operations import SECONDS, OperationMetrics
from graph.metrics.shared_directory import SharedDirectory
from resolvers.activities.change_stream import ChangeFeed

UNKNOWN = "unknown"

F = TypeVar("F", bound=Family)
Snapshots = list[FamilySnapshot]


class Metrics:
    """The metrics of one process. With a directory it is one of several, and `snapshots_of_server` has those of all."""

    def __init__(self, directory: SharedDirectory | None = None, commit: str = UNKNOWN) -> None:
        self.directory, self.commit = directory, commit
        self.mongodb_version = UNKNOWN
        self._families: list[Family] = []
        self._libraries = LibraryMetrics()
        self._backlog = Backlog()
        self.operations_by_name = OperationMetrics()
        self.operations = self._add(
            Counter(
                "provenance_graphql_operations",
                "GraphQL requests by outcome: ok, errors (some fields failed), unanswered (an outage), refused, "
                "failed.",
                "outcome",
                *("ok", "errors", "unanswered", "refused", "failed"),
            )
        )
        self.executions = self._add(
            Counter(
                "provenance_graphql_executions",
                "GraphQL operations run, by how: planned, stepped_aside (a plan left it to the reference), reference.",
                "by",
                *("planned", "stepped_aside", "reference"),
            )
        )
        self.refusals = self._add(Counter("provenance_graphql_refusals", "GraphQL requests refused, by code.", "code"))
        self.durations = self._add(
            Histogram("provenance_http_request_seconds", "Time to answer an HTTP request.", ["path", "status"], SECONDS)
        )
        self.in_flight = 0
        self._export("provenance_http_requests_in_flight", "HTTP requests being answered.", lambda: self.in_flight)
        self.sockets = self._add(Gauge("provenance_websockets_open", "WebSockets that are open."))
        self.subscriptions = self._add(Gauge("provenance_subscriptions_open", "Subscriptions that are active."))
        self.without_descriptors = self._add(
            Counter(
                "provenance_seconds_without_file_descriptors",
                "Seconds in which no file descriptor was left, so that connections and files could not be opened.",
            )
        )
        self.unread = self._add(
            Counter(
                "provenance_connections_unread",
                "Connections given up because their clients did not read what was sent.",
            )
        )
        self.event_loop_lag = self._add(lag_histogram())
        self._export("provenance_processes", "Processes of the server that answer requests.", lambda: 1)
        self._add(
            CallbackCounter(
                "provenance_database_round_trips",
                "Commands that were sent to the database.",
                "",
                lambda: {"": round_trips.of_process.round_trips},
            )
        )
        self._add(
            CallbackGauge(
                "provenance_build_info",
                "Always 1; the labels say which release runs, on which Python, and which MongoDB it uses.",
                ["version", "commit", "python", "mongodb"],
                self._build_info,
                Combine.MAX,
            )
        )

    def export_load(self, admission: Admission, unsent_bytes: Callable[[], int]) -> None:
        """Export also the server's current load."""
        self._export(
            "provenance_operations_weight",
            f"Capacity that running operations take, of {TOTAL_WEIGHT} in each process.",
            lambda: admission.running,
        )
        self._export("provenance_operations_waiting", "Operations that wait for room.", lambda: admission.waiting)
        self._export("provenance_unsent_bytes", "Bytes that clients have yet to read.", unsent_bytes)
        self._add(
            CallbackGauge(
                "provenance_admission_running",
                "Operations that run, without point reads, by group of callers: anonymous, signed_in.",
                ["callers"],
                lambda: {(name,): group.running for name, group in admission.groups.items()},
            )
        )
        self._add(
            CallbackGauge(
                "provenance_admission_queued",
                "Operations that wait for room, by group of callers: anonymous, signed_in.",
                ["callers"],
                lambda: {(name,): len(group.waiting) for name, group in admission.groups.items()},
            )
        )
        self._add(
            CallbackCounter(
                "provenance_admission_refused",
                "Requests refused with OVERLOADED, by what there was too much of.",
                "reason",
                lambda: admission.refused,
            )
        )

    def export_changes(self, changes: ChangeFeed) -> None:
        """Export also the state of the change stream that wakes subscriptions."""
        self._export(
            "provenance_change_streams_needed",
            "Processes with subscriptions, each of which needs a change stream.",
            lambda: changes.is_needed,
        )
        self._export(
            "provenance_change_streams_open",
            "Change streams that are open, at most one in each process.",
            lambda: changes.open_seconds is not None,
        )
        self._add(
            CallbackGauge(
                "provenance_change_stream_age_seconds",
                "Time since the oldest open change stream was opened; none while none is open.",
                [],
                lambda: {} if changes.open_seconds is None else {(): changes.open_seconds},
                Combine.MAX,
            )
        )

    def export_database(self, connections: Callable[[], Mapping[str, int]]) -> None:
        """Export also the connections to the database: how many are `checked_out`, `idle`, and `waiting` for."""

        def open_connections() -> dict[Labels, float]:
            return {(state,): count for state, count in connections().items() if state != "waiting"}

        def waiting() -> dict[Labels, float]:
            counts = connections()
            return {(): counts["waiting"]} if counts else {}

        self._add(
            CallbackGauge(
                "provenance_database_connections",
                "Connections to the database by state: checked_out, idle.",
                ["state"],
                open_connections,
            )
        )
        self._add(
            CallbackGauge(
                "provenance_database_connection_waiters",
                "Tasks that wait for a connection to the database.",
                [],
                waiting,
            )
        )

    def count_refusal(self, code: str) -> None:
        """Count a refused request."""
        self.operations.add("refused")
        self.refusals.add(code)

    def snapshots(self) -> Snapshots:
        """The metrics of this process."""
        own = [family.snapshot() for family in self._families]
        return [*own, *self.operations_by_name.snapshots(), *self._libraries.snapshots()]

    async def snapshots_of_server(self) -> Snapshots:
        """The metrics of all processes of the server, and of what waits in the database. Raises OSError."""
        families = self.snapshots()
        if self.directory is not None:
            await asyncio.to_thread(self.directory.write, families)
            families = await asyncio.to_thread(self.directory.read)
        return [*families, *await self._backlog.snapshots()]

    def _build_info(self) -> dict[Labels, float]:
        return {(version("provenance-graph"), self.commit, python_version(), self.mongodb_version): 1}

    def _add(self, family: F) -> F:
        self._families.append(family)
        return family

    def _export(self, name: str, description: str, read: Callable[[], float]) -> None:
        self._add(CallbackGauge(name, description, [], lambda: {(): read()}))
