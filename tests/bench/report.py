"""The report of a comparison, as a table for people and as JSON for programs."""

import os
import platform
from dataclasses import asdict
from typing import Any

from rich.table import Table

from tests.bench.compare import CEILING, FLOOR, OURS, REFERENCE, Measurement
from tests.bench.scale import Sizes
from tests.bench.servers import PEERS

SUBJECTS = (OURS, *PEERS, REFERENCE, FLOOR)


def table(measured: list[Measurement]) -> Table:
    """Medians of all subjects, with ratios."""
    made = Table(title="Medians: ms by one connection, answers a second by several", title_justify="left")
    made.add_column("case")
    for name in ("connections", "processes", *SUBJECTS):
        made.add_column(name, justify="right")
    for name in ("× peer", "× reference", "of floor"):
        made.add_column(name, justify="right", style="bold")
    made.add_column("CPU ms: ours, peer", justify="right")
    for one in measured:
        if OURS in one.figures:
            made.add_row(*_cells(one))
    return made


def _cells(one: Measurement) -> list[str]:
    peer = one.fastest_peer
    cpu = [f"{one.figures[name].cpu_ms:,.2f}" for name in (OURS, peer) if name]
    floor = one.times(FLOOR)
    return [
        f"{one.case} ({one.scale})" if one.case == "deep" else one.case,
        str(one.connections),
        str(one.processes),
        *(_figure(one, name) for name in SUBJECTS),
        _ratio(one.times(peer)),
        _ratio(one.times(REFERENCE)),
        _ratio(1 / floor if floor else None),
        ", ".join(cpu),
    ]


def _figure(one: Measurement, name: str) -> str:
    if name not in one.figures:
        return ""
    found = one.figures[name]
    return f"{found.ms:,.2f} ms" if one.connections == 1 else f"{found.per_second:,.1f} /s"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def ratios(measured: list[Measurement]) -> dict[str, float | None]:
    """The ratios that the project promises; null where there was nothing to compare with."""
    by = {(one.case, one.scale, one.connections, one.processes): one for one in measured}
    deep = by["deep", "large", 1, 1]
    point = by["point", "lists", 1, 1]
    floor = deep.times(FLOOR)

    def vs_peer(*key: Any) -> float | None:
        return by[key].times(by[key].fastest_peer)

    return {
        "deep_latency_vs_peer": deep.times(deep.fastest_peer),
        "deep_throughput_vs_peer": vs_peer("deep", "small", 16, 2),
        "flat_throughput_vs_peer": vs_peer("flat", "lists", 16, 1),
        "point_throughput_vs_peer": vs_peer("point", "lists", 16, 1),
        "point_latency_vs_peer": point.times(point.fastest_peer),
        "deep_latency_vs_reference": deep.times(REFERENCE),
        "deep_latency_vs_floor": 1 / floor if floor else None,
    }


def ceiling(measured: list[Measurement]) -> float:
    """The number of short answers a second that the client can receive."""
    return next(one.figures[CEILING].per_second for one in measured if CEILING in one.figures)


def as_data(measured: list[Measurement], sizes: Sizes) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "objects": {"small": sizes.small.objects, "large": sizes.large.objects, "lists": sizes.lists.objects},
        "ratios": ratios(measured),
        "ceiling": ceiling(measured),
        "medians": [{**asdict(one), "fastest_peer": one.fastest_peer} for one in measured],
    }
