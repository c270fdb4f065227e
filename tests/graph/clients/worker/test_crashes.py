"""Workers that are killed while they work: CRASH_STEPS and CRASH_KILLS say how large a run is tried."""

import os
import random
import time
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest

from documents.mongo.database import Client
from tests.graph.clients.worker.conftest import ExpireLeases
from tests.support.patience import within
from tests.support.running import end
from tests.support.working import Lab, Worker

STEPS = int(os.environ.get("CRASH_STEPS", "40"))
KILLS = int(os.environ.get("CRASH_KILLS", "6"))
WORKERS = 8
A_DAG = 30
"""Steps of one execution."""
LINES = 12
TROUBLE = ("lost", "Trying again", "not handed back", "Traceback")
TERMINAL = ("SUCCEEDED", "FAILED", "CANCELLED")

COMMAND = f"""n=0; while [ $n -lt {LINES} ]; do n=$((n + 1)); echo "$PROVENANCE_STEP_KEY $PROVENANCE_ATTEMPT $n"
[ $n = {LINES // 2} ] && sleep 0.4; done
printf "%s %s" "$PROVENANCE_STEP_KEY" "$PROVENANCE_ATTEMPT" > "$PROVENANCE_OUTPUT_DIR/made"
: > "$PROVENANCE_OUTPUT_DIR/empty" """

ENDS = [
    {
        "$match": {
            "operationType": "update",
            "ns.coll": "steps",
            "updateDescription.updatedFields.status": {"$in": list(TERMINAL)},
        }
    }
]


@pytest.mark.timeout(within(900))
async def test_workers_killed_at_any_moment_lose_and_double_nothing(
    lab: Lab, expire_leases: ExpireLeases, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [lab.an_execution(*a_dag(min(A_DAG, STEPS - made))) for made in range(0, STEPS, A_DAG)]
    began = time.monotonic()

    async with await client["test_workers"].watch(ENDS) as changes:
        crew = run_and_kill(lab, ids, expire_leases)
        took = time.monotonic() - began
        ended: Counter[str] = Counter()
        while (change := await changes.try_next()) is not None:
            ended[change["documentKey"]["_id"]] += 1

    executions = [lab.execution(id) for id in ids]
    steps = [step for execution in executions for step in execution["by_key"].values()]
    assert (len(steps), len(crew)) == (STEPS, WORKERS + KILLS)
    assert list(lab.folders.iterdir()) == []
    assert ended == Counter(step["id"] for step in steps)
    for execution in executions:
        assert_whole(execution)
    for step in steps:
        assert_nothing_lost_or_doubled(lab, step)
    attempts = Counter(step["attempt"] for step in steps)
    trouble = Counter(word for worker in crew for word in TROUBLE if word in worker.output)
    with capsys.disabled():
        print(f"\n{STEPS} steps, {KILLS} workers killed, {took:.1f} s, attempts: {dict(sorted(attempts.items()))}")
        print(f"workers that said so: {dict(trouble)}")


def a_dag(count: int) -> list[dict[str, Any]]:
    """Steps each of which waits for one or two before it."""
    return [
        {"key": f"s{n}", "dependsOn": sorted({f"s{(n - 1) // 4}", f"s{n // 5}"}) if n > 4 else [f"s{n - 1}"][: n and 1]}
        for n in range(count)
    ]


def run_and_kill(lab: Lab, ids: list[str], expire_leases: ExpireLeases) -> list[Worker]:
    """Let workers run all of it, and kill one after every so many steps, at any moment; all who took part."""
    luck = random.Random()
    workers = [a_worker(lab) for _ in range(WORKERS)]
    crew = [*workers]
    deadline = time.monotonic() + within(800)
    try:
        while (open_ := how_many_open(lab, ids)) > 0:
            assert time.monotonic() < deadline, workers[0].output
            time.sleep(luck.uniform(0.1, 0.5))
            killed = len(crew) - WORKERS
            # Again and again: what one asked for before its end may be claimed after it.
            for worker in set(crew) - set(workers):
                expire_leases(worker.name)
            if killed < KILLS and (STEPS - open_) * (KILLS + 1) > STEPS * killed:
                victim = workers.pop(luck.randrange(WORKERS))
                victim.process.kill()
                victim.process.wait()
                workers.append(a_worker(lab))
                crew.append(workers[-1])
    finally:
        for worker in workers:
            end(worker.process)
    assert [worker.process.returncode for worker in workers] == [0] * WORKERS
    return crew


def how_many_open(lab: Lab, ids: list[str]) -> int:
    """The number of steps that have not ended."""
    query = """query($ids:[ID!]!){nodes(ids:$ids){... on Execution{
      steps(first:1,where:{statusFilter:{in:[PENDING,READY,RUNNING]}}){totalCount}}}}"""
    return sum(node["steps"]["totalCount"] for node in lab.server.ask(query, {"ids": ids})["nodes"])


def a_worker(lab: Lab) -> Worker:
    return lab.start(COMMAND, "--poll", "0.3")


def assert_whole(execution: Any) -> None:
    """An execution that has ended as its steps say, and none of them is held."""
    statuses = {step["status"] for step in execution["by_key"].values()}
    expected = next((one for one in ("FAILED", "CANCELLED") if one in statuses), "SUCCEEDED")
    assert statuses <= set(TERMINAL)
    assert (execution["status"], execution["endTimestamp"] is not None) == (expected, True)
    assert [step for step in execution["by_key"].values() if step["leaseExpiresAt"]] == []


def assert_nothing_lost_or_doubled(lab: Lab, step: Any) -> None:
    """Of each attempt the log has the first lines, and of the one that succeeded all, and so with the files."""
    key, attempts = step["key"], step["attempt"]
    log = lab.log(step["id"])
    assert [line[0] for line in log] == list(range(1, len(log) + 1))
    by_attempt = [[line[2] for line in log if line[2].split()[1] == str(n)] for n in range(1, attempts + 1)]
    assert [line[2] for line in log] == [line for lines in by_attempt for line in lines]
    for n, lines in enumerate(by_attempt, 1):
        assert lines == [f"{key} {n} {place}" for place in range(1, LINES + 1)][: len(lines)]
    files = {(one["attempt"], one["fileName"]): one["sha256"] for one in step["outputs"]["nodes"]}
    assert len(files) == len(step["outputs"]["nodes"])
    for (n, name), digest in files.items():
        content = f"{key} {n}" if name == "made" else ""
        assert digest == sha256(content.encode()).hexdigest()
    if step["status"] == "SUCCEEDED":
        assert len(by_attempt[-1]) == LINES
        assert {(attempts, "made"), (attempts, "empty")} <= set(files)
    else:
        # Killed three times, or waiting for one that was.
        assert (step["status"], attempts) in {("FAILED", 3), ("CANCELLED", 0)}
