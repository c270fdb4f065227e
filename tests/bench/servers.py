"""The servers that are compared, each a process of its own on the same database."""

import asyncio
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from tests.bench.cgroup import command_in_group
from tests.bench.load import Address, LoadError, ask
from tests.support.running import Process

ROOT = Path(__file__).resolve().parents[2]
COMMAND = str(Path(sys.executable).parent / "provenance-graph")
SERVE = """
# Earlier commits have it. Asked first: a module that their folder lacks is found where this project is installed.
try:
    from graph.cli import main
except ModuleNotFoundError:
    from graph.commands.main import main
main()
"""
"""The command from the folder that it is started in."""
ADMIN_TOKEN = "an-administrators-token-for-the-bench-0123"
AS_ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
START_SECONDS = 60
PEERS = {"mercurius": "/graphql", "apollo": "/", "yoga": "/"}
"""The peers, and where each is asked."""


class ServerStartError(Exception):
    """A server that did not come up, with what it said."""


@dataclass
class Server:
    """A running server of one or more processes."""

    name: str
    processes: list[Process]
    addresses: list[Address]
    said: Path

    @property
    def pids(self) -> list[int]:
        """Of its processes and their children."""
        own = [process.pid for process in self.processes]
        return own + [child for pid in own for child in _children(pid)]

    def cpu(self) -> float:
        """Seconds of CPU it has used; 0 where the system does not tell."""
        return sum(map(_cpu, self.pids))

    async def until_it_answers(self) -> None:
        """Wait for each address to answer. Raises ServerStartError."""
        deadline = time.monotonic() + START_SECONDS
        for address in self.addresses:
            while failure := await _failure(address):
                ended = any(process.poll() is not None for process in self.processes)
                if ended or time.monotonic() > deadline:
                    raise ServerStartError(f"{self.name} did not start. {failure}\n{self.said.read_text()[-2000:]}")
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        """End its processes."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Servers(ExitStack):
    """Starts servers on one MongoDB, and stops all of them in the end."""

    def __init__(self, database_url: str, peers: Path | None) -> None:
        super().__init__()
        self._url, self.peers = database_url, peers
        self._directory = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="provenance-bench-")))

    def ours(
        self,
        name: str,
        database: str,
        *,
        executor: str = "plan",
        workers: int = 1,
        source: Path | None = None,
        settings: Mapping[str, str] | None = None,
        group: Path | None = None,
    ) -> Server:
        """This server as users run it, answering an administrator, in a group of processes where one is given.

        With `source`, the one whose code is there.
        """
        port = free_port()
        settings = {
            "PROVENANCE_ENV": "production",
            "PROVENANCE_DATABASE_URL": self._url,
            "PROVENANCE_DATABASE_NAME": database,
            "PROVENANCE_ADMIN_TOKEN": ADMIN_TOKEN,
            "PROVENANCE_EXECUTOR": executor,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            **(settings or {}),
        }
        program = [sys.executable, "-c", SERVE] if source else [COMMAND]
        command = [*program, "serve", *(["--workers", str(workers)] if workers > 1 else [])]
        if group is not None:
            command = command_in_group(group, command)
        process, said = self._run(name, command, source or ROOT, settings)
        return self._server(name, [process], [Address(port, headers=AS_ADMIN)], said)

    def peer(self, name: str, database: str, processes: int = 1) -> Server:
        """A peer, as its own processes."""
        assert self.peers is not None
        started, addresses, said = list[Process](), [], self._directory
        for _ in range(processes):
            port = free_port()
            settings = {
                "DATABASE_URL": self._url,
                "DATABASE_NAME": database,
                "NODE_ENV": "production",
                "PORT": str(port),
            }
            process, said = self._run(name, ["node", f"{name}.mjs"], self.peers, settings)
            started.append(process)
            addresses.append(Address(port, PEERS[name]))
        return self._server(name, started, addresses, said)

    def fixed_response(self) -> Server:
        """The server that always gives the same answer."""
        port = free_port()
        process, said = self._run(
            "fixed_response", [sys.executable, "-m", "tests.bench.fixed_response", str(port)], ROOT, {}
        )
        return self._server("still", [process], [Address(port)], said)

    def _server(self, name: str, processes: list[Process], addresses: list[Address], said: Path) -> Server:
        server = Server(name, processes, addresses, said)
        self.callback(server.stop)
        return server

    def _run(
        self, name: str, command: Sequence[str], folder: Path, settings: Mapping[str, str]
    ) -> tuple[Process, Path]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVENANCE_")}
        said = self._directory / f"{name}-{free_port()}.log"
        return start(command, folder, clean | dict(settings), said), said


def start(command: Sequence[str], folder: Path, environment: dict[str, str], said: Path) -> Process:
    """Start a command in a folder, which writes all that it says into a file."""
    with said.open("wb") as out:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )


def install_peers(folder: Path) -> Path | str:
    """Install the peers of a folder once into the cache; returns the path, or a sentence that says why it failed."""
    if not (folder / "package.json").is_file():
        return f"there is no package.json in {folder}"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "they need node and npm, which are not installed"
    wanted = hashlib.sha256((folder / "package.json").read_bytes()).hexdigest()[:12]
    cached = user_cache_path("provenance-graph") / f"bench-peers-{wanted}"
    cached.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("*.mjs"), folder / "package.json"):
        shutil.copyfile(file, cached / file.name)
    if not (cached / ".installed").exists():
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=cached, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"npm could not install them: {done.stderr.strip()[-500:]}"
        (cached / ".installed").touch()
    return cached


async def _failure(address: Address) -> str | None:
    """Why a server gives no answer, None when it gives one."""
    try:
        await ask(address, address.request("{ __typename }"))
    except (OSError, LoadError) as error:
        return str(error)
    return None


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _cpu(pid: int) -> float:
    try:
        # The name of the program, in parentheses, may hold spaces.
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return 0.0
    user, system = rest.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, int]:
    """Bytes that a process holds now (VmRSS) and held at most (VmHWM); empty where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    parts = (line.split() for line in lines if line.startswith(("VmRSS:", "VmHWM:")))
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, _ in parts}
