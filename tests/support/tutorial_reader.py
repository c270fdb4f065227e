"""Following a tutorial as its reader does: commands in a shell, operations in GraphiQL, outputs compared.

What a page means by its fenced blocks:

* `sh` is pasted into one shell, block after block. The first may be `make demo`, in a terminal of its own.
* `graphql` is pasted into GraphiQL and run. Its variables are what the command before it printed.
* Any other block shows what the terminal printed since, or GraphiQL where the sentence before it names that.

In a shown output `…` stands for what is different each time, within a line and within quotation marks. What prints
something without being shown is wrong, and so is a command that fails. Where the prose says Ctrl-C, the demo is
stopped.
"""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.follower import follower
from tests.support.patience import within
from tests.support.running import Running

ADDRESS, TOKEN = "http://127.0.0.1:8000", "pg_…"
DEMO = "make demo\n"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAX_OUTPUT_BYTES = 1_048_576
END = "~~ the block has ended ~~"


@dataclass(frozen=True)
class Block:
    """A fenced block, the prose between it and the one before, and the line that it begins in."""

    language: str
    text: str
    prose: str
    line: int


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, end = [], 0
    for fence in FENCE.finditer(page):
        found.append(Block(fence[1], fence[2], page[end : fence.start()], page.count("\n", 0, fence.start()) + 1))
        end = fence.end()
    assert len(re.findall("^```", page, re.MULTILINE)) == 2 * len(found), "A fence is not one of a block."
    return found


def matches(shown: str, printed: str) -> bool:
    """Whether an output is what the page shows, but for what varies."""
    pattern = r'[^"\n]+'.join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, printed.strip()) is not None


class Reader:
    """A reader with a shell and a browser, at a running demo."""

    def __init__(self, demo: Running, shell: asyncio.subprocess.Process, folder: Path) -> None:
        self._demo, self._shell, self._folder = demo, shell, folder
        self._terminal = ""
        self._printed = ""
        self._graphiql: asyncio.Task[Any] | None = None

    async def follow(self, page: str) -> None:
        """Do everything that the page says. Fails where something else comes of it than the page shows."""
        for block in blocks_of(page):
            with _with_location(f"line {block.line}"):
                await self._do(block)
        with _with_location("At the end"):
            self._check_terminal()
            self._check_graphiql()

    async def close(self) -> None:
        """Leave the browser."""
        if self._graphiql is not None:
            self._graphiql.cancel()
            await asyncio.wait({self._graphiql})

    async def _do(self, block: Block) -> None:
        if "Stop the demo" in block.prose:
            self._demo.stop()
            await asyncio.to_thread(self._demo.process.wait, within(20))
        if block.language in ("sh", "graphql"):
            self._check_terminal()
        if block.language == "sh":
            self._printed = self._terminal = self._announcement() if block.text == DEMO else await self._run(block.text)
        elif block.language == "graphql":
            self._check_graphiql()
            self._graphiql = asyncio.create_task(self._ask(block.text, self._variables(block.text)))
        elif "GraphiQL" in block.prose.strip().split("\n\n")[-1]:
            assert self._graphiql is not None, "Nothing was pasted into GraphiQL."
            self._compare(block.text, json.dumps(await self._graphiql, indent=2, ensure_ascii=False))
            self._graphiql = None
        else:
            self._compare(block.text, self._terminal)
            self._terminal = ""

    def _check_terminal(self) -> None:
        assert not self._terminal, f"The page does not show what the terminal printed before:\n{self._terminal}"

    def _check_graphiql(self) -> None:
        assert self._graphiql is None, "The page does not show what GraphiQL answered before."

    def _announcement(self) -> str:
        """The lines by which the demo says where it is."""
        said = self._demo.log.partition("provenance-graph is serving.")[2]
        return "\n".join(line for line in said.splitlines() if re.match(r"  (GraphiQL|GraphQL|Admin token) ", line))

    def _compare(self, shown: str, printed: str) -> None:
        shown = shown.replace(ADDRESS, self._demo.url)
        assert matches(shown, printed), f"The page shows\n{shown}\nand this was printed:\n{printed}"

    def _variables(self, operation: str) -> Any:
        return json.loads(self._printed) if "($" in operation else None

    async def _run(self, text: str) -> str:
        """Paste something into the shell; what the terminal shows until all of it is done."""
        text = text.replace(ADDRESS, self._demo.url).replace(TOKEN, self._demo.token)
        assert "…" not in text, "The reader cannot know what to put in the place of …"
        (self._folder / "pasted").write_text(text, encoding="utf-8")
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f". '{self._folder}/pasted' < /dev/null\nprintf '%s\\n' '{END}'\n".encode())
        try:
            async with asyncio.timeout(within(60)):
                printed = (await self._shell.stdout.readuntil(f"{END}\n".encode())).decode()
        except asyncio.IncompleteReadError as error:
            raise AssertionError(f"A command failed:\n{text}\n{error.partial.decode()}") from None
        except TimeoutError:
            raise AssertionError(f"It does not end:\n{text}") from None
        return printed.removesuffix(f"{END}\n")

    async def _ask(self, operation: str, variables: Any) -> Any:
        """The text that GraphiQL shows in the end: the answer, or the last message of a subscription."""
        if not operation.startswith("subscription"):
            token = f"Bearer {self._demo.token}"
            answer = await asyncio.to_thread(self._demo.post, operation, variables, authorization=token)
            return answer.json()
        async with follower(self._demo) as client:
            await client.follow(operation, **(variables or {}))
            *messages, last = await client.rest(within(60))
        assert last["type"] == "complete", last
        return messages[-1]["payload"]


@contextmanager
def _with_location(place: str) -> Iterator[None]:
    """Say where on the page something is wrong."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{place}: {error}") from error


@asynccontextmanager
async def reader(demo: Running, folder: Path, path: str) -> AsyncIterator[Reader]:
    """A reader whose shell begins in a clone of the repository, and has no variables but those of a login."""
    env = {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "COLUMNS": "120"}
    # An interactive shell goes on after an error; here it ends, and so does one that uses a variable that is not set.
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail"),
        cwd=folder,
        env=env | {"PROVENANCE_DATA_DIR": str(demo.directory / "data")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=MAX_OUTPUT_BYTES,
    )
    somebody = Reader(demo, shell, folder)
    try:
        yield somebody
    finally:
        await somebody.close()
        if shell.returncode is None:
            # With what it started, which may still run when a block took too long.
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        await shell.wait()
