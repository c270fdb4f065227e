"""A server and workers as processes of their own, and things for them to run."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.patience import BOUND, within
from tests.support.running import Running, command, end, environment, start

WORK = (sys.executable, "-m", "graph.commands.work")
"""`provenance-graph work`, which takes less time to start so."""
PATIENT_WORKER = (sys.executable, "-m", "tests.graph.clients.worker.patient")
"""A worker with more time to stop; see that module."""
RENEW_OFTEN: Any = {"RENEWAL_FRACTION": "0.01"}
"""A patient worker learns in less than a second that a lease of a minute is lost, which does not expire meanwhile."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"

STEPS = """query($id:ID!,$after:String){node(id:$id){... on Execution{status startTimestamp endTimestamp
  steps(first:100,after:$after){pageInfo{hasNextPage endCursor} nodes{
    id key status attempt worker leaseExpiresAt error{code message retryable}
    outputs(first:100){nodes{attempt fileName fileSize fileType sha256 downloadUrl{url}}}}}}}}"""
LOGS = """query($id:ID!,$after:String){node(id:$id){... on Activity{logs(first:1000,after:$after){
  pageInfo{hasNextPage endCursor} nodes{sequence level message}}}}}"""

_numbers = count(1)


class Lab:
    """A server with somebody who asks for executions, and a token for workers."""

    def __init__(self, server: Running, token: str, directory: Path) -> None:
        self.server, self.token, self.directory = server, token, directory
        self.folders = directory / "folders"
        self.folders.mkdir()
        self._executions: list[str] = []
        self._plain_version = ""

    def do(self, mutation: str, what: str, **given: Any) -> Any:
        """The payload of an administrator's mutation that is not refused."""
        name = f"{mutation[0].upper()}{mutation[1:]}Input!"
        query = f"mutation($input:{name}){{payload:{mutation}(input:$input){{{what} userErrors{{code message path}}}}}}"
        payload = self.server.ask(query, {"input": given})["payload"]
        assert payload["userErrors"] == [], payload
        return payload

    def a_twin(self) -> str:
        """The id of a private twin of a new user."""
        name = f"somebody-{os.getpid()}-{next(_numbers)}"
        user = self.do("createUser", "user{id}", displayName=name, email=f"{name}@people.example")["user"]["id"]
        twin: str = self.do("createDigitalTwin", "digitalTwin{id}", name="twin", ownerId=user)["digitalTwin"]["id"]
        return twin

    def a_version(self, odtp_yml: str, repository: str = "", version: str = "1.0.0") -> str:
        """The id of a component version that its odtp.yml describes."""
        given = {
            "repoLink": repository or f"https://code.example/component-{next(_numbers)}",
            "commitHash": COMMIT,
            "version": version,
            "odtpYml": odtp_yml,
        }
        id: str = self.do("ingestComponent", "componentVersion{id}", **given)["componentVersion"]["id"]
        return id

    def an_execution(self, *steps: dict[str, Any], twin: str = "") -> str:
        """The id of an execution of these steps, of a component without parameters where they do not say."""
        self._plain_version = self._plain_version or self.a_version(plain_yml())
        wanted = [{"componentVersionId": self._plain_version} | step for step in steps]
        given = {"digitalTwinId": twin or self.a_twin(), "title": f"run {next(_numbers)}", "steps": wanted}
        id: str = self.do("createExecution", "execution{id}", **given)["execution"]["id"]
        self._executions.append(id)
        return id

    def leave_nothing_waiting(self) -> None:
        """Cancel what has not ended, so that the next test's workers find only its own."""
        for id in self._executions:
            self.server.ask("mutation($id:ID!){cancelExecution(input:{id:$id}){userErrors{code}}}", {"id": id})
        self._executions.clear()

    def execution(self, id: str) -> Any:
        """An execution as it is now, with all its steps by key as `by_key`."""
        found: Any = None
        after = None
        by_key: dict[str, Any] = {}
        while True:
            found = self.server.ask(STEPS, {"id": id, "after": after})["node"]
            by_key |= {step["key"]: step for step in found["steps"]["nodes"]}
            after = found["steps"]["pageInfo"]["endCursor"]
            if not found["steps"]["pageInfo"]["hasNextPage"]:
                return found | {"by_key": by_key}

    def statuses(self, id: str) -> dict[str, str]:
        """The status of each step."""
        return {key: step["status"] for key, step in self.execution(id)["by_key"].items()}

    def output_of(self, execution: str, key: str) -> Any:
        """The id and the hash of the only output of a step."""
        query = "query($id:ID!){step(id:$id){id outputs{nodes{id sha256}}}}"
        step = self.server.ask(query, {"id": self.execution(execution)["by_key"][key]["id"]})["step"]
        (output,) = step["outputs"]["nodes"]
        return output

    def log(self, id: str) -> list[tuple[int, str, str]]:
        """All lines of an activity: sequence, level and message."""
        lines: list[tuple[int, str, str]] = []
        after = None
        while True:
            page = self.server.ask(LOGS, {"id": id, "after": after})["node"]["logs"]
            lines += [(line["sequence"], line["level"], line["message"]) for line in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return lines

    def download(self, output: Any) -> bytes:
        """The bytes of an output."""
        response = self.server.client.get(output["downloadUrl"]["url"])
        assert response.status_code == 200, response.text
        return response.content

    def environment(self, **more: str) -> dict[str, str]:
        """The variables that a worker needs."""
        own = {"PROVENANCE_URL": self.server.url, "PROVENANCE_TOKEN": self.token, "NO_PROXY": "127.0.0.1"}
        own["TMPDIR"] = str(self.folders)
        return environment(self.directory) | own | more

    def start(self, command: str, *options: str, program: tuple[str, ...] = PATIENT_WORKER, **more: str) -> "Worker":
        """A worker that runs a command."""
        return Worker(self, (*program, "--command", command, *options), self.environment(**more))

    @contextmanager
    def working(self, command: str, *options: str, **more: Any) -> Iterator["Worker"]:
        """A worker that is stopped at the end of the block."""
        worker = self.start(command, "--poll", "0.1", *options, **more)
        try:
            yield worker
        finally:
            end(worker.process)

    def run(self, command: str, *options: str, seconds: float = BOUND, **more: Any) -> str:
        """Run a worker until nothing waits; returns its output."""
        with self.working(command, "--until-idle", *options, **more) as worker:
            worker.process.wait(within(seconds))
            assert worker.process.returncode == 0, worker.output
            return worker.output


class Worker:
    """A worker that was started, and what it says."""

    def __init__(self, lab: Lab, command: tuple[str, ...], env: dict[str, str]) -> None:
        self._log = lab.directory / f"worker-{next(_numbers)}.log"
        self.process = start(command, env, self._log)

    @property
    def name(self) -> str:
        """The worker's default name."""
        return f"{socket.gethostname()}-{self.process.pid}"

    @property
    def output(self) -> str:
        """Everything so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")


def plain_yml(*parameters: tuple[str, str, str]) -> str:
    """An odtp.yml with these parameters: name, datatype and default."""
    text = (
        "component-name: example\ncomponent-author: somebody\ncomponent-version: 1.0.0\n"
        "component-repository: https://code.example/example\ncomponent-type: ephemeral\n"
    )
    if parameters:
        text += "parameters:\n" + "".join(
            f"  - name: {name}\n    default-value: {default}\n    datatype: {datatype}\n    description: it\n"
            for name, datatype, default in parameters
        )
    return text


def a_token(env: dict[str, str]) -> str:
    """The secret of a new token for workers that stands for no user."""
    made = command("token", "create", "workers", "--role", "worker", env=env)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()
