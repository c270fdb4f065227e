"""This server beside the one of an earlier commit, on one database, so that nothing gets slower unseen."""

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from platformdirs import user_cache_path
from rich.table import Table

from documents.migrations import STEPS
from documents.migrations.step_list import newest_version
from tests.bench import agree
from tests.bench.cases import cases
from tests.bench.compare import OURS, Advance, Pace
from tests.bench.contest import Contest, Figures, Served
from tests.bench.fill import drop, fill, record_version
from tests.bench.scale import Sizes, name_of
from tests.bench.servers import ROOT, Server, Servers, ServerStartError

EARLIER = "earlier"
CONTESTS = (
    ("deep", 1),
    ("flat", 1),
    ("flat", 16),
    ("point", 1),
    ("point", 16),
    ("catalogue chain", 1),
    ("mutation", 1),
)
"""Cases, each with a number of connections."""
NEWEST_VERSION = """
from documents.migrations.step_list import STEPS, newest_version
print(newest_version(STEPS))
"""
"""Prints the schema version that the code of a folder reads and writes."""
TIMES = {"deep": 1, "catalogue chain": 1}
"""Number of turns of a case; cases that are answered within milliseconds take five times as many."""


@dataclass(frozen=True)
class CaseComparison:
    """One case asked of both."""

    case: str
    connections: int
    now: Figures
    then: Figures

    @property
    def speed(self) -> float:
        """The factor by which it is faster than then: by the median time of an answer, or by answers a second."""
        if self.connections == 1:
            return self.then.ms / self.now.ms
        return self.now.per_second / self.then.per_second

    @property
    def cpu(self) -> float:
        """CPU of an answer, as a multiple of what it was then."""
        return self.now.cpu_ms / self.then.cpu_ms if self.then.cpu_ms else 1.0


async def compare(
    url: str, commit: str, sizes: Sizes, pace: Pace, peers: Path, advance: Advance
) -> list[CaseComparison]:
    """Ask both servers each case by turns. Raises ComparisonError if the commit cannot be served."""
    advance(f"making the server of {commit}", 0)
    source = checked_out(commit)
    asked = cases(peers, sizes.lists.users)
    databases = {name_of(sizes.small): (sizes.small, None), name_of(sizes.lists): (sizes.lists, sizes.catalogue)}
    found: list[CaseComparison] = []
    try:
        for name, (tree, catalogue) in databases.items():
            await fill(url, name, tree, catalogue, lambda stored: advance(f"{stored:,} documents stored", 0))
        with Servers(url, None) as servers:
            pairs = {name: await _both(servers, url, name, source) for name in databases}
            for case, connections in CONTESTS:
                now, then = pairs[name_of(sizes.small if case == "deep" else sizes.lists)]
                if case != "mutation":
                    await agree.check(asked[case], now, [then])
                rounds = pace.rounds * TIMES.get(case, 5)
                contest = Contest(
                    asked[case], connections, [Served(now), Served(then)], pace.warm_up, pace.seconds, rounds
                )
                figures = await contest.run(_teller(advance, f"{case}, {connections}", len(found) / len(CONTESTS)))
                found.append(CaseComparison(case, connections, figures[OURS], figures[EARLIER]))
    finally:
        await drop(url, *databases)
    return found


def _teller(advance: Advance, case: str, part: float) -> Callable[[str], None]:
    return lambda name: advance(f"{case}: {name}", part)


async def _both(servers: Servers, url: str, database: str, source: Path) -> tuple[Server, Server]:
    """Both servers on one database. Each finds its own schema version there when it starts, and looks only then."""
    await record_version(url, database, version_of(source))
    then = servers.ours(EARLIER, database, source=source)
    try:
        await then.until_it_answers()
    except ServerStartError as error:
        raise ComparisonError(str(error)) from error
    await record_version(url, database, newest_version(STEPS))
    now = servers.ours(OURS, database)
    await now.until_it_answers()
    return now, then


def version_of(source: Path) -> int:
    """The schema version that the code of a folder reads and writes. Raises ComparisonError."""
    return int(_run([sys.executable, "-c", NEWEST_VERSION], source))


class ComparisonError(Exception):
    """A commit that cannot be served; the message says why."""


def checked_out(commit: str) -> Path:
    """A folder in the cache with the project as it was at a commit, its compiled parts made. Raises ComparisonError."""
    whole = _run(["git", "rev-parse", "--verify", f"{commit}^{{commit}}"]).decode().strip()
    folder = user_cache_path("provenance-graph") / f"bench-{whole[:12]}"
    if (folder / ".made").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(_run(["git", "archive", whole]))) as archive:
        archive.extractall(folder, filter="data")
    _copy_bytecode(folder)
    if _compiled_sources(folder) == _compiled_sources(ROOT):
        for built in (ROOT / "documents").rglob("*.so"):
            shutil.copy2(built, folder / built.relative_to(ROOT))
    else:
        _run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], folder)
    (folder / ".made").touch()
    return folder


def _copy_bytecode(folder: Path) -> None:
    """Give modules that are as they are here the bytecode of here, which Python takes by the time of the source."""
    for source in (ROOT / module for module in _run(["git", "ls-files", "*.py"]).decode().splitlines()):
        earlier, bytecode = folder / source.relative_to(ROOT), Path(cache_from_source(source))
        if bytecode.exists() and earlier.exists() and earlier.read_bytes() == source.read_bytes():
            shutil.copystat(source, earlier)
            earlier_bytecode = Path(cache_from_source(earlier))
            earlier_bytecode.parent.mkdir(exist_ok=True)
            shutil.copy2(bytecode, earlier_bytecode)


def _compiled_sources(folder: Path) -> dict[Path, bytes]:
    sources = (folder / "documents").rglob("*.p[yx][xd]")
    return {source.relative_to(folder): source.read_bytes() for source in sources}


def _run(command: Sequence[str], folder: Path = ROOT) -> bytes:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise ComparisonError(f"{' '.join(command)} failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def table(found: list[CaseComparison]) -> Table:
    """Figures of both, with their ratios."""
    made = Table(title="This server beside the earlier one: more is better, but for CPU", title_justify="left")
    for name in ("case", "connections", "ms now", "ms then", "a second now", "a second then", "times as fast", "CPU"):
        made.add_column(name, justify="left" if name == "case" else "right")
    for one in found:
        made.add_row(
            one.case,
            str(one.connections),
            f"{one.now.ms:,.2f}",
            f"{one.then.ms:,.2f}",
            f"{one.now.per_second:,.1f}",
            f"{one.then.per_second:,.1f}",
            f"{one.speed:.3f}",
            f"{one.cpu:.3f}",
        )
    return made
