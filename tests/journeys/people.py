"""People and a worker who have nothing but the address of a server and a token: each call is one HTTP request."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.running import Running

COMMIT = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
WORKER = "machine-7"
CLAIM = """activity { id attempt ... on Step { key parameters code { repository commit } componentVersion { version }
  execution { id title }
  dependsOn { key outputs { nodes { ...File } } reusedFrom { outputs { nodes { ...File } } } } } }"""
FILE = " fragment File on Output { fileName downloadUrl { url method } }"
DONE = "activity { status ... on Step { execution { id status } } }"

Program = Callable[[dict[str, Any], list[bytes]], bytes]
"""A component's program: parameters and input files → the bytes of its output."""


@dataclass
class Somebody:
    """A person who asks with a token."""

    server: Running
    token: str

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer that has no errors."""
        answer = self.server.post(query, variables, authorization=f"Bearer {self.token}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert "errors" not in found, found["errors"]
        return found["data"]

    def do(self, mutation: str, what: str, fragment: str = "", **given: Any) -> Any:
        """The payload of a mutation that is not refused."""
        name = f"{mutation[0].upper()}{mutation[1:]}Input!"
        query = f"mutation($input:{name}){{payload:{mutation}(input:$input){{{what} userErrors{{code message path}}}}}}"
        payload = self.ask(query + fragment, input=given)["payload"]
        assert payload["userErrors"] == [], payload
        return payload

    def node(self, id: str, what: str) -> Any:
        """The selected fields of the node with this id; None if there is none or it is hidden."""
        return self.ask(f"query($id:ID!){{node(id:$id){{{what}}}}}", id=id)["node"]

    def download(self, url: dict[str, str]) -> bytes:
        """The bytes at a signed URL, for which no token is sent."""
        answer = self.server.client.request(url["method"], url["url"])
        assert answer.status_code == 200, answer.text
        return answer.content

    def register_version(self, odtp_yml: str, repository: str, version: str, commit: str = COMMIT) -> str:
        """The id of a component version that its odtp.yml describes."""
        given = {"repoLink": repository, "commitHash": commit, "version": version, "odtpYml": odtp_yml}
        id: str = self.do("ingestComponent", "componentVersion { id }", **given)["componentVersion"]["id"]
        return id

    def work_off(self, programs: dict[str, Program]) -> list[dict[str, Any]]:
        """Claim and run steps until nothing waits, each by the program with its key; the answers to its reports."""
        reports = []
        while step := self.do("claimActivity", CLAIM, FILE, worker=WORKER, kinds=["STEP"])["activity"]:
            self.do("extendLease", "activity { id }", id=step["id"], worker=WORKER, leaseSeconds=120)
            made = programs[step["key"]](step["parameters"], [self.download(url) for url in _inputs(step)])
            self._log(step, f"{step['key']} runs with {sorted(step['parameters'].items())}", f"{len(made)} bytes made")
            self._register(step, f"{step['key']}.txt", made)
            held = {"id": step["id"], "worker": WORKER, "attempt": step["attempt"]}
            reports.append(self.do("completeActivity", DONE, **held, outcome="SUCCEEDED")["activity"])
        return reports

    def _log(self, step: dict[str, Any], *lines: str) -> None:
        at = datetime.now(UTC).isoformat()
        entries = [{"timestamp": at, "message": line} for line in lines]
        given = {"activityId": step["id"], "attempt": step["attempt"], "firstSequence": 1, "entries": entries}
        assert self.do("appendLogs", "nextSequence", **given)["nextSequence"] == len(lines) + 1

    def _register(self, step: dict[str, Any], name: str, content: bytes) -> None:
        announced = {"sizeBytes": str(len(content)), "sha256": hashlib.sha256(content).hexdigest()}
        given = {"purpose": "OUTPUT", "fileName": name, "mediaType": "text/plain", **announced}
        upload = self.do("createUpload", "upload { id target { url method headers } }", **given)["upload"]
        target = upload["target"]
        sent = self.server.client.request(target["method"], target["url"], content=content, headers=target["headers"])
        assert sent.status_code in (200, 201), sent.text
        output = {"stepId": step["id"], "attempt": step["attempt"], "uploadId": upload["id"], "fileName": name}
        self.do("registerOutput", "output { id }", **output)


def _inputs(step: dict[str, Any]) -> list[dict[str, str]]:
    """The URLs of a step's input files: outputs of the steps that it depends on, or of those that they reuse."""
    sources = [one for awaited in step["dependsOn"] for one in (awaited, awaited["reusedFrom"]) if one is not None]
    return [output["downloadUrl"] for source in sources for output in source["outputs"]["nodes"]]
