"""The end of a step with what its command noted, reported to the real server."""

import hashlib
from contextlib import suppress
from pathlib import Path

from tests.graph.clients.worker.conftest import KeptSteps
from tests.support.patience import until, within
from tests.support.working import RENEW_OFTEN, Lab

UNKNOWN = "output_000000000000000000000000"


def test_what_a_command_notes_is_recorded_and_what_is_refused_stands_in_its_log(
    lab: Lab, kept_steps: KeptSteps
) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})

    lab.run(
        f"""[ $PROVENANCE_STEP_KEY = a ] && echo made > "$PROVENANCE_OUTPUT_DIR/made" && exit
        printf rain > rain.csv
        echo "https://me:SECRET@data.example/rain.csv version=5 file=rain.csv" >> "$PROVENANCE_USED"
        echo "$PROVENANCE_INPUT_DIR/a/made" >> "$PROVENANCE_USED"
        printf '%s\\n' gone ftp://data.example/rain.csv {UNKNOWN} gs://bucket/rain.csv >> "$PROVENANCE_USED" """
    )

    step = lab.execution(id)["by_key"]["b"]
    assert (step["status"], step["attempt"]) == ("SUCCEEDED", 1)
    kept = kept_steps.find_one({"_id": step["id"]})
    assert kept is not None
    made, *elsewhere = kept["used"]
    assert made["ref"] == lab.output_of(id, "a")["id"]
    stored = {one["_id"]: one for one in kept_steps.database["external_data"].find({})}
    facts = [[stored[one["ref"]][name] for name in ("url", "version", "sha256")] for one in elsewhere]
    assert facts == [
        ["https://data.example/rain.csv", "5", hashlib.sha256(b"rain").hexdigest()],
        ["gs://bucket/rain.csv", None, None],
    ]
    assert [line[2] for line in lab.log(step["id"])] == [
        "worker: Not recorded as used: line 3 of PROVENANCE_USED, 'gone', cannot be read: No such file or directory.",
        "worker: Not recorded as used: url must be an http, https, gs or s3 URL, not 'ftp://data.example/rain.csv'.",
        f"worker: Not recorded as used: No Artifact with id {UNKNOWN}.",
    ]


def test_a_step_is_held_while_it_is_hashed_what_it_read_and_a_cancellation_interrupts_that(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"})
    # Nothing is stored of the file, and to hash it takes an hour.
    command = 'truncate -s 2T huge; echo "https://data.example/rain.csv file=huge" >> "$PROVENANCE_USED"'
    with lab.working(command, "--until-idle", **RENEW_OFTEN) as worker:
        until(lambda: any(file.endswith("/work/huge") for file in files_open_in(worker.process.pid)))
        (held,) = lab.execution(id)["by_key"].values()

        lab.do("cancelExecution", "execution{status}", id=id)
        worker.process.wait(within())

    (ended,) = lab.execution(id)["by_key"].values()
    assert [(one["status"], one["attempt"]) for one in (held, ended)] == [("RUNNING", 1), ("CANCELLED", 1)]
    assert list(lab.folders.iterdir()) == []


def files_open_in(process: int) -> list[str]:
    """The paths of the files that a process has open."""
    paths: list[str] = []
    for file in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            paths.append(str(file.readlink()))
    return paths
