"""The comparison: which servers are asked what, stage by stage."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from documents.mongo.database import make_client
from tests.bench import agree, floor
from tests.bench.cases import Case, cases
from tests.bench.contest import Contest, Figures, InProcess, Served, Subject
from tests.bench.fill import drop, fill
from tests.bench.load import ask
from tests.bench.scale import Sizes, name_of
from tests.bench.servers import PEERS, Server, Servers, ServerStartError

OURS, REFERENCE, FLOOR, CEILING = "plan", "reference", "floor", "still"
WITHOUT_PEERS = ("catalogue chain", "page of 20, counted", "first 3 of many", "mutation")

Say = Callable[[str], None]
Advance = Callable[[str, float], None]
"""Called with the current step, and the share of all steps that is done."""

CONTESTS = 19
"""As many as there are when nothing is left out."""
SHORT = 3
"""Times as many turns for what is answered within milliseconds, so that what disturbs a turn decides nothing."""


@dataclass(frozen=True)
class Pace:
    """The time for which each subject is asked, and the number of turns. A slow one is asked at least once."""

    warm_up: float
    seconds: float
    rounds: int
    thorough: bool = True
    """Whether deep is asked of single processes on the small tree, and warmed up beyond the check of its answers."""


@dataclass(frozen=True)
class Measurement:
    """One line of the table."""

    case: str
    scale: str
    connections: int
    processes: int
    figures: dict[str, Figures]

    @property
    def fastest_peer(self) -> str | None:
        """The peer with the best figure."""
        peers = {name: one for name, one in self.figures.items() if name in PEERS}
        return max(peers, key=lambda name: self.speed(name)) if peers else None

    def speed(self, name: str) -> float:
        """Larger is faster: answers a second, of one connection by the median time of an answer."""
        found = self.figures[name]
        return 1000 / found.ms if self.connections == 1 else found.per_second

    def times(self, other: str | None) -> float | None:
        """The factor by which this server is faster than another; None if that was not measured."""
        return self.speed(OURS) / self.speed(other) if other in self.figures else None


@dataclass(frozen=True)
class StartedServers:
    """The servers on one database."""

    ours: Server
    reference: Server
    peers: list[Server]

    @property
    def others(self) -> list[Server]:
        """All but this server."""
        return [*self.peers, self.reference]

    @property
    def all(self) -> list[Subject]:
        """Every server, this one first."""
        return [Served(one) for one in (self.ours, *self.others)]


@dataclass
class Comparison:
    """Runs the stages on one MongoDB. `say` gets what a reader should know, `advance` what is under way."""

    url: str
    sizes: Sizes
    pace: Pace
    peers: Path | None
    texts: Path | None
    say: Say
    advance: Advance
    measured: list[Measurement] = field(default_factory=list)
    _known: dict[str, StartedServers] = field(default_factory=dict)

    async def run(self) -> list[Measurement]:
        """Everything that was measured."""
        self._cases = cases(self.texts, self.sizes.lists.users)
        databases = self.sizes.databases
        try:
            for name, (tree, catalogue) in databases.items():
                await fill(self.url, name, tree, catalogue, lambda stored: self._tell(f"{stored:,} documents stored"))
            with Servers(self.url, self.peers) as servers:
                self._servers = servers
                await self._stages()
        finally:
            await drop(self.url, *databases)
        return self.measured

    async def _stages(self) -> None:
        await self._ceiling()
        large = await self._deep_alone("large", name_of(self.sizes.large))
        await self._lists(await self._start_servers(name_of(self.sizes.lists)))
        fastest = await self._small() if self.pace.thorough else large.fastest_peer
        await self._two_processes(fastest)

    def _tell(self, what: str) -> None:
        self.advance(what, len(self.measured) / CONTESTS)

    async def _ceiling(self) -> None:
        """Measure the highest rate at which this client can ask."""
        fixed_response = self._servers.fixed_response()
        await fixed_response.until_it_answers()
        await self._measure(self._cases["point"], "", 16, [Served(fixed_response)])

    async def _deep_alone(self, scale: str, database: str) -> Measurement:
        """The deep query by one connection, all subjects against each other."""
        deep, servers = self._cases["deep"], await self._start_servers(database)
        await agree.check(deep, servers.ours, servers.others)
        async with self._floor(database, servers.ours, deep) as bottom:
            return await self._measure(deep, scale, 1, [Served(servers.ours), bottom, *map(Served, servers.others)])

    async def _lists(self, servers: StartedServers) -> None:
        """Everything that is asked of lists and points."""
        for name in ("flat", "point"):
            case = self._cases[name]
            await agree.check(case, servers.ours, servers.others)
            for connections in (1, 16, 64):
                await self._measure(case, "lists", connections, servers.all, times=SHORT)
        for name in WITHOUT_PEERS:
            case = self._cases[name]
            if name != "mutation":
                await agree.check(case, servers.ours, [servers.reference])
            await self._measure(case, "lists", 1, [Served(servers.ours), Served(servers.reference)])
            await self._measure(case, "lists", 16, [Served(servers.ours)])

    async def _small(self) -> str | None:
        """The deep query on the small tree, by one connection and by several; which peer answers most of them."""
        deep, name = self._cases["deep"], name_of(self.sizes.small)
        await self._deep_alone("small", name)
        servers = await self._start_servers(name)
        ours = Served(servers.ours)
        fastest = (await self._measure(deep, "small", 16, [ours, *map(Served, servers.peers)])).fastest_peer
        # The slower ones take many seconds for one round.
        rival = [Served(one) for one in servers.peers if one.name == fastest]
        await self._measure(deep, "small", 64, [ours, *rival])
        return fastest

    async def _two_processes(self, fastest: str | None) -> None:
        """The deep query on the small tree, answered by two processes on each side."""
        deep, name = self._cases["deep"], name_of(self.sizes.small)
        ours = self._servers.ours(OURS, name, workers=2)
        rival = [self._servers.peer(fastest, name, 2)] if fastest else []
        await asyncio.gather(*(one.until_it_answers() for one in (ours, *rival)))
        await agree.check(deep, ours, rival)
        await self._measure(deep, "small", 16, [Served(one) for one in (ours, *rival)], processes=2)

    async def _measure(
        self,
        case: Case,
        scale: str,
        connections: int,
        subjects: Sequence[Subject],
        processes: int = 1,
        times: int = 1,
    ) -> Measurement:
        pace = self.pace
        warm = pace.warm_up if pace.thorough or case.name != "deep" or processes > 1 else 0
        contest = Contest(case, connections, subjects, warm, pace.seconds, times * pace.rounds)
        where = f"{case.name}, {connections} connection{'s' if connections > 1 else ''}"
        figures = await contest.run(lambda name: self._tell(f"{where}: {name}"))
        found = Measurement(case.name, scale, connections, processes, figures)
        self.measured.append(found)
        return found

    async def _start_servers(self, database: str) -> StartedServers:
        """Start this server, one with the standard executor, and the peers that can be started."""
        if database not in self._known:
            self._tell("starting servers")
            ours = self._servers.ours(OURS, database)
            reference = self._servers.ours(REFERENCE, database, executor="reference")
            peers = [self._servers.peer(name, database) for name in (PEERS if self.peers else ())]
            await asyncio.gather(ours.until_it_answers(), reference.until_it_answers())
            self._known[database] = StartedServers(ours, reference, [one for one in peers if await self._is_up(one)])
        return self._known[database]

    async def _is_up(self, peer: Server) -> bool:
        try:
            await peer.until_it_answers()
        except ServerStartError as error:
            self.say(f"Without {peer.name}: {error}")
            return False
        return True

    @asynccontextmanager
    async def _floor(self, database: str, ours: Server, deep: Case) -> AsyncIterator[Subject]:
        """The floor on a database, once it has given the very bytes that the server gives."""
        client = make_client(self.url)
        try:
            address = ours.addresses[0]
            if await floor.deep(client[database]) != await ask(address, deep.sample(address)):
                raise agree.Disagreement("The floor and the server differ in their bytes.")
            yield InProcess(FLOOR, lambda: floor.deep(client[database]))
        finally:
            await client.close()
